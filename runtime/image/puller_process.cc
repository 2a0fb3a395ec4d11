#include "runtime/image/puller_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"
#include "runtime/kernel/command.h"

namespace caisson::image {
namespace {

constexpr int kSocketInChild = 3;
constexpr time_t kSendSeconds = 30;
// What a killed process may take on a busy machine, and more.
constexpr absl::Duration kStopLimit = absl::Seconds(10);

// What of the daemon a puller gets: its standard error, and the socket.
class SpawnSettings {
 public:
  explicit SpawnSettings(int socket) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions_, 0, 1);
    // Onto its own number, too: that clears close-on-exec.
    posix_spawn_file_actions_adddup2(&actions_, socket, kSocketInChild);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kSocketInChild + 1);
    posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }

  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

absl::StatusOr<PullerProcess> PullerProcess::Start(const std::string& binary) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoError("create", "socket pair");
  }
  UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  const timeval patience = {kSendSeconds, 0};
  if (setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience,
                 sizeof(patience)) != 0) {
    return ErrnoError("limit", "sending to puller");
  }
  const SpawnSettings settings(theirs.get());
  std::string name = "caisson-puller";
  char* const arguments[] = {name.data(), nullptr};
  // Nothing of the daemon's environment is the puller's business.
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* const environment[] = {path.data(), nullptr};
  pid_t pid = 0;
  errno = posix_spawn(&pid, binary.c_str(), settings.actions(),
                      settings.attributes(), arguments, environment);
  if (errno != 0) {
    return absl::InternalError(ErrnoError("start", binary).message());
  }
  return PullerProcess(pid, std::move(ours));
}

PullerProcess::PullerProcess(PullerProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), socket_(std::move(other.socket_)) {}

absl::Status PullerProcess::Stop() {
  socket_.reset();
  if (const pid_t pid = std::exchange(pid_, 0); pid > 0) {
    return Annotate(
        kernel::KillChild(pid, Deadline::After(kStopLimit)).status(),
        "end puller");
  }
  return absl::OkStatus();
}

}  // namespace caisson::image
