#include "runtime/image/puller_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr int kSocket = 3;

// posix_spawn(3): a plain fork would copy the daemon's page tables.
absl::StatusOr<pid_t> Spawn(const std::string& program, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, kSocket);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  posix_spawn_file_actions_addclosefrom_np(&actions, kSocket + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  const char* argv[] = {"caisson-puller", nullptr};
  const char* env[] = {nullptr};
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, program.c_str(), &actions, &attributes,
                  const_cast<char* const*>(argv), const_cast<char* const*>(env));
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    errno = error;
    return ErrnoError("start", program);
  }
  return pid;
}

absl::Status Converse(int socket, const PullHandlers& handlers) {
  for (;;) {
    absl::StatusOr<Frame> frame = ReceiveFrame(socket);
    if (!frame.ok()) {
      return absl::InternalError("the puller ended without a word");
    }
    puller::v1::FromPuller message;
    if (!message.ParseFromString(frame->bytes)) {
      return absl::InternalError("read message of puller: malformed");
    }
    switch (message.message_case()) {
      case puller::v1::FromPuller::kResolved:
        RETURN_IF_ERROR(handlers.on_resolved(message.resolved()));
        break;
      case puller::v1::FromPuller::kOpenLayer: {
        ASSIGN_OR_RETURN(const int file,
                         handlers.open_layer(message.open_layer().diff_id()));
        const int fds[] = {file};
        RETURN_IF_ERROR(SendFrame(socket, "", fds));
        break;
      }
      case puller::v1::FromPuller::kLayerDone:
        RETURN_IF_ERROR(handlers.on_layer(message.layer_done()));
        break;
      case puller::v1::FromPuller::kFinished:
        return absl::OkStatus();
      case puller::v1::FromPuller::kError:
        return absl::Status(
            static_cast<absl::StatusCode>(message.error().code()),
            message.error().message());
      case puller::v1::FromPuller::MESSAGE_NOT_SET:
        return absl::InternalError("read message of puller: unknown");
    }
  }
}

}  // namespace

absl::Status RunPuller(const std::string& program,
                       const puller::v1::PullRequest& request,
                       const PullHandlers& handlers) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  UniqueFd mine(ends[0]);
  UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, theirs.get()));
  theirs.reset();
  absl::Status status = SendFrame(mine.get(), request.SerializeAsString(), {});
  if (status.ok()) {
    status = Converse(mine.get(), handlers);
  }
  mine.reset();
  // Whatever it does now, it is of no more use.
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return status;
}

}  // namespace caisson::image
