#include "tests/probe/hold.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/probe/json_writer.h"
#include "tests/probe/load.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

// Calls `take`, which adds to what was made and returns an errno, until it
// fails or there are `most`.
template <typename Take>
int HoldAll(uint64_t most, Take take) {
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  uint64_t made = 0;
  int error = 0;
  while (made < most && error == 0) {
    error = take(made);
  }
  JsonWriter json;
  json.BeginObject().Key("command").String("hold");
  json.Key("made").Unsigned(made);
  ReportErrno(json, error);
  json.EndObject();
  return Print(json.text()) ? Sleep() : 1;
}

int TakeInstance(uint64_t& made) {
  if (inotify_init1(IN_CLOEXEC) < 0) {
    return errno;
  }
  ++made;
  return 0;
}

// Each of a directory of its own, for two of one file are the same.
int HoldWatches(uint64_t most) {
  const int instance = inotify_init1(IN_CLOEXEC);
  if (instance < 0 || chdir("/dev/shm") != 0) {
    return 1;
  }
  return HoldAll(most, [&](uint64_t& made) {
    const std::string name = "watched" + std::to_string(made);
    if (mkdir(name.c_str(), 0700) != 0 ||
        inotify_add_watch(instance, name.c_str(), IN_CREATE) < 0) {
      return errno;
    }
    ++made;
    return 0;
  });
}

[[noreturn]] void BecomeHolder(int out) {
  const int error = unshare(CLONE_NEWUSER) != 0 ? errno : 0;
  if (write(out, &error, sizeof(error)) == sizeof(error) && error == 0) {
    pause();
  }
  _exit(1);
}

// A process is in one, which is there as long as it is.
int TakeUserNamespace(uint64_t& made) {
  int ends[2];
  if (pipe(ends) != 0) {
    return errno;
  }
  const pid_t child = fork();
  if (child == 0) {
    BecomeHolder(ends[1]);
  }
  int error = child < 0 ? errno : 0;
  close(ends[1]);
  if (child > 0 && read(ends[0], &error, sizeof(error)) != sizeof(error)) {
    error = EIO;
  }
  close(ends[0]);
  made += error == 0 ? 1 : 0;
  return error;
}

// Of a user namespace of our own, which has all capabilities.
int HoldNamespaces(uint64_t most, int flag, const char* path) {
  if (unshare(CLONE_NEWUSER) != 0) {
    return 1;
  }
  return HoldAll(most, [&](uint64_t& made) {
    if (unshare(flag) != 0 || open(path, O_RDONLY | O_CLOEXEC) < 0) {
      return errno;
    }
    ++made;
    return 0;
  });
}

}  // namespace

int Hold(std::string_view kind, uint64_t most) {
  if (kind == "inotify") {
    return HoldAll(most, TakeInstance);
  }
  if (kind == "watches") {
    return HoldWatches(most);
  }
  if (kind == "user") {
    return HoldAll(most, TakeUserNamespace);
  }
  if (kind == "mnt") {
    return HoldNamespaces(most, CLONE_NEWNS, "/proc/self/ns/mnt");
  }
  return kind == "net" ? HoldNamespaces(most, CLONE_NEWNET, "/proc/self/ns/net")
                       : 2;
}

}  // namespace caisson::probe
