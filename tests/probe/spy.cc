#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probe/joiner.h"
#include "tests/probe/proc_file.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

constexpr char kRuntime[] = "caisson-keeper\n";
constexpr size_t kMaxPrograms = 16;

volatile sig_atomic_t ended = 0;

struct Score {
  uint64_t seen = 0;      // looks at a process of the runtime
  uint64_t opened = 0;    // one of its links or files could be opened
  uint64_t attached = 0;  // or it could be traced
  uint64_t host = 0;      // paths of any process that led to the host's root
  uint64_t written = 0;   // bytes that went into a program of the runtime
  std::vector<int> programs;
  std::string write_errors;
};

bool IsRuntime(const std::string& pid) {
  return ReadWhole("/proc/" + pid + "/comm") == kRuntime;
}

bool IsHost(const std::string& path, const HostRoot& host) {
  struct stat facts = {};
  return stat(path.c_str(), &facts) == 0 && facts.st_dev == host.device &&
         facts.st_ino == host.inode;
}

bool CanOpen(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

// Its directories may be those of the host, whatever it is.
void LookForHost(const std::string& base, const HostRoot& host, Score& score) {
  for (const char* way :
       {"root", "cwd", "cwd/../../../../../..", "root/../../.."}) {
    score.host += IsHost(base + way, host) ? 1 : 0;
  }
  DIR* const files = opendir((base + "fd").c_str());
  while (const dirent* const file =
             files == nullptr ? nullptr : readdir(files)) {
    const std::string path = base + "fd/" + file->d_name;
    score.host += IsHost(path, host) ? 1 : 0;
    score.host += IsHost(path + "/../../../../../..", host) ? 1 : 0;
  }
  if (files != nullptr) {
    closedir(files);
  }
}

void Attack(const std::string& pid, const HostRoot& host, Score& score) {
  const std::string base = "/proc/" + pid + "/";
  LookForHost(base, host, score);
  if (!IsRuntime(pid)) {
    return;
  }
  bool opened = false;
  for (const char* name : {"root", "cwd", "fd/0"}) {
    opened = opened || CanOpen(base + name, O_PATH);
  }
  opened = opened || CanOpen(base + "mem", O_RDWR);
  const bool attached = SeizeError(atoi(pid.c_str())) == 0;
  // It counts only if it was not yet the container's own program.
  if (IsRuntime(pid)) {
    score.seen += 1;
    score.opened += opened ? 1 : 0;
    score.attached += attached ? 1 : 0;
  }
}

void KeepProgram(const std::string& pid, Score& score) {
  const std::string path = "/proc/" + pid + "/exe";
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  const std::string_view name(target,
                              length < 0 ? 0 : static_cast<size_t>(length));
  if (name.find("caisson-keeper") == name.npos ||
      score.programs.size() >= kMaxPrograms) {
    return;
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    score.programs.push_back(fd);
  }
}

void WriteTo(int program, Score& score) {
  const std::string path = "/proc/self/fd/" + std::to_string(program);
  for (const int flags : {O_WRONLY, O_RDWR, O_RDWR | O_TRUNC}) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
      const ssize_t wrote = write(fd, "x", 1);
      error = wrote < 0 ? errno : 0;
      score.written += wrote > 0 ? 1 : 0;
      close(fd);
    }
    const std::string text =
        std::string(error == 0 ? "OK" : strerrorname_np(error));
    if (score.write_errors.find(text) == std::string::npos) {
      score.write_errors += text + " ";
    }
  }
}

void Round(const HostRoot& host, Score& score) {
  DIR* const all = opendir("/proc");
  const std::string self = std::to_string(getpid());
  while (const dirent* const entry = all == nullptr ? nullptr : readdir(all)) {
    const std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != pid.npos || pid == self) {
      continue;
    }
    Attack(pid, host, score);
    KeepProgram(pid, score);
  }
  if (all != nullptr) {
    closedir(all);
  }
  for (const int program : score.programs) {
    WriteTo(program, score);
  }
}

}  // namespace

int Spy(const HostRoot& host) {
  struct sigaction end = {};
  end.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &end, nullptr);
  Score score;
  while (ended == 0) {
    Round(host, score);
  }
  JsonWriter json;
  json.BeginObject().Key("seen").Unsigned(score.seen);
  json.Key("opened").Unsigned(score.opened);
  json.Key("attached").Unsigned(score.attached);
  json.Key("host").Unsigned(score.host);
  json.Key("programs").Unsigned(score.programs.size());
  json.Key("written").Unsigned(score.written);
  json.Key("write_errors").String(score.write_errors);
  json.EndObject();
  return Print(json.text()) ? 0 : 1;
}

}  // namespace caisson::probe
