#include "tests/probe/joiner.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "tests/probe/proc_file.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

std::string Path(const std::string& pid, const char* name) {
  return "/proc/" + pid + "/" + name;
}

void Attempt(JsonWriter& json, const char* call, int error) {
  json.BeginObject().Key("call").String(call);
  ReportErrno(json, error);
  json.EndObject();
}

// Names of files, not only their numbers, which root reads by its ids.
int LinkError(const std::string& path) {
  char target[PATH_MAX];
  return readlink(path.c_str(), target, sizeof(target)) < 0 ? errno : 0;
}

int OpenError(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  close(fd);
  return 0;
}

int ReadMemory(int pid) {
  char byte = 0;
  iovec local = {&byte, 1};
  // The program's own header: mapped at this address in any static program.
  iovec remote = {reinterpret_cast<void*>(0x400000), 1};
  const ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  // EFAULT: allowed, and nothing there.
  return got < 0 && errno != EFAULT ? errno : 0;
}

int GetFile(int pid) {
  const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    return errno;
  }
  const long fd = syscall(SYS_pidfd_getfd, pidfd, 0, 0);
  const int error = fd < 0 ? errno : 0;
  close(pidfd);
  if (fd >= 0) {
    close(static_cast<int>(fd));
  }
  return error;
}

void Files(JsonWriter& json, const std::string& pid) {
  json.Key("fds").BeginArray();
  DIR* const directory = opendir(Path(pid, "fd").c_str());
  while (const dirent* const entry =
             directory == nullptr ? nullptr : readdir(directory)) {
    if (entry->d_name[0] == '.') {
      continue;
    }
    const std::string path = Path(pid, "fd/") + entry->d_name;
    char target[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), target, sizeof(target));
    struct stat facts = {};
    const bool known = stat(path.c_str(), &facts) == 0;
    if (length < 0 && !known) {
      continue;
    }
    json.BeginObject().Key("fd").Number(atoi(entry->d_name));
    json.Key("target").String(
        std::string(target, length < 0 ? 0 : static_cast<size_t>(length)));
    json.Key("directory").Bool(known && S_ISDIR(facts.st_mode));
    json.EndObject();
  }
  if (directory != nullptr) {
    closedir(directory);
  }
  json.EndArray();
}

std::string Name(const std::string& pid) {
  std::optional<std::string> name = ReadWhole(Path(pid, "comm"));
  return name.has_value() ? name->substr(0, name->find('\n')) : "";
}

}  // namespace

int SeizeError(int pid) {
  // By a child, whose end lets go of it.
  const pid_t child = fork();
  if (child == 0) {
    _exit(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0 ? 0 : errno);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

void TryJoiner(JsonWriter& json, const char* pid) {
  const std::string text = pid;
  const int number = atoi(pid);
  json.BeginObject().Key("command").String("attack");
  json.Key("name").String(Name(text));
  json.Key("attempts").BeginArray();
  Attempt(json, "read link of fd", LinkError(Path(text, "fd/0")));
  Attempt(json, "open fd", OpenError(Path(text, "fd/0"), O_PATH));
  Attempt(json, "open root", OpenError(Path(text, "root"), O_PATH));
  Attempt(json, "open cwd", OpenError(Path(text, "cwd"), O_PATH));
  Attempt(json, "open exe", OpenError(Path(text, "exe"), O_RDONLY));
  Attempt(json, "open mem", OpenError(Path(text, "mem"), O_RDWR));
  Attempt(json, "open environ", OpenError(Path(text, "environ"), O_RDONLY));
  Attempt(json, "open mount namespace",
          OpenError(Path(text, "ns/mnt"), O_RDONLY));
  Attempt(json, "process_vm_readv", ReadMemory(number));
  Attempt(json, "pidfd_getfd", GetFile(number));
  Attempt(json, "ptrace seize", SeizeError(number));
  json.EndArray();
  Files(json, text);
  json.Key("name_after").String(Name(text));
  json.EndObject();
}

int AttackOnDemand(const char* in, const char* out) {
  FILE* const input = fopen(in, "re");
  FILE* const output = fopen(out, "we");
  if (input == nullptr || output == nullptr) {
    return 1;
  }
  char line[64];
  while (fgets(line, sizeof(line), input) != nullptr) {
    line[strcspn(line, "\n")] = '\0';
    JsonWriter json;
    TryJoiner(json, line);
    fprintf(output, "%s\n", json.text().c_str());
    fflush(output);
  }
  return 0;
}

}  // namespace caisson::probe
