#include "runtime/kernel/spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::kernel {
namespace {

class Settings {
 public:
  Settings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }

  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  ~Settings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  absl::Status SetFds(const std::vector<int>& fds) {
    const int count = static_cast<int>(fds.size());
    for (int i = 0; i < count; ++i) {
      int fd = fds[static_cast<size_t>(i)];
      if (fd < 0) {
        posix_spawn_file_actions_addopen(&actions_, i, "/dev/null", O_RDWR, 0);
        continue;
      }
      // One that is low may be another's place.
      if (fd < count) {
        UniqueFd high(fcntl(fd, F_DUPFD_CLOEXEC, count));
        if (!high.ok()) {
          return ErrnoError("copy", "file");
        }
        fd = high.get();
        moved_.push_back(std::move(high));
      }
      posix_spawn_file_actions_adddup2(&actions_, fd, i);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions_, count);
    posix_spawn_file_actions_addchdir_np(&actions_, "/");
    return absl::OkStatus();
  }

  void SetSignals(bool own_group) {
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                           (own_group ? POSIX_SPAWN_SETPGROUP : 0)));
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  std::vector<UniqueFd> moved_;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<Spawned> Spawn(const SpawnOptions& options) {
  Settings settings;
  RETURN_IF_ERROR(settings.SetFds(options.fds));
  settings.SetSignals(options.own_group);
  Spawned spawned;
  errno = posix_spawn(&spawned.pid, options.program.c_str(), settings.actions(),
                      settings.attributes(), Pointers(options.arguments).data(),
                      Pointers(options.environment).data());
  if (errno != 0) {
    return ErrnoError("run", options.program);
  }
  // Not reaped yet, so the number is still its own.
  spawned.pidfd.reset(
      static_cast<int>(syscall(SYS_pidfd_open, spawned.pid, 0)));
  if (!spawned.pidfd.ok()) {
    const absl::Status status = ErrnoError("open pidfd of", options.program);
    kill(spawned.pid, SIGKILL);
    waitpid(spawned.pid, nullptr, 0);
    return status;
  }
  return spawned;
}

}  // namespace caisson::kernel
