#include "tests/probe/load.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

#include "tests/probe/json_writer.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

constexpr uint64_t kBatchBytes = 65536;
constexpr uint64_t kMaxLine = 64u << 20;

bool WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

int Sleep() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  // Blocked, so that a PID 1, which has no default actions, gets them too.
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  while (sigwaitinfo(&wanted, nullptr) < 0) {
    if (errno != EINTR) {
      return 1;
    }
  }
  return 0;
}

int Echo() {
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return got == 0 ? 0 : 1;
    }
    if (!WriteAll(std::string_view(buffer, static_cast<size_t>(got)))) {
      return 1;
    }
  }
}

int PrintLines(uint64_t count, uint64_t size) {
  if (size == 0 || size > kMaxLine) {
    return 2;
  }
  std::string line(size, 'x');
  line.back() = '\n';
  const uint64_t batch = std::max<uint64_t>(1, kBatchBytes / size);
  std::string lines;
  for (uint64_t i = 0; i < batch; ++i) {
    lines += line;
  }
  while (count > 0) {
    const uint64_t now = std::min(count, batch);
    if (!WriteAll(std::string_view(lines).substr(0, now * size))) {
      return 1;
    }
    count -= now;
  }
  return 0;
}

int Allocate(uint64_t bytes, bool hold) {
  JsonWriter json;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int error = memory == MAP_FAILED ? errno : 0;
  if (error == 0) {
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    volatile char* const first = static_cast<volatile char*>(memory);
    for (uint64_t at = 0; at < bytes; at += page) {
      first[at] = 1;
    }
  }
  json.BeginObject().Key("command").String("allocate");
  json.Key("bytes").Unsigned(bytes);
  ReportErrno(json, error);
  json.EndObject();
  if (!Print(json.text()) || error != 0) {
    return 1;
  }
  return hold ? Sleep() : 0;
}

int Swarm(uint64_t count) {
  uint64_t made = 0;
  int error = 0;
  while (made < count && error == 0) {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    error = child < 0 ? errno : 0;
    made += child > 0 ? 1 : 0;
  }
  JsonWriter json;
  json.BeginObject().Key("command").String("swarm");
  json.Key("made").Unsigned(made);
  ReportErrno(json, error);
  json.EndObject();
  return Print(json.text()) ? Sleep() : 1;
}

int Bomb() {
  for (;;) {
    if (fork() < 0) {
      sched_yield();
    }
  }
}

}  // namespace caisson::probe
