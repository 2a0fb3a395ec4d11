#include "runtime/keeper/fork_server.h"

#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/host_mounts.h"
#include "runtime/keeper/stage.h"
#include "runtime/keeper/supervisor.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

absl::Status EnterOwnMountNamespace() {
  RETURN_IF_ERROR(HoldHostMounts());
  RETURN_IF_ERROR(HoldStage());
  return kernel::UnshareMounts(MS_SLAVE);
}

[[noreturn]] void RunKeeper(UniqueFd connection, bool allow_faults) {
  absl::StatusOr<std::unique_ptr<Supervisor>> supervisor =
      Supervisor::Create(std::move(connection), allow_faults);
  absl::Status status = supervisor.status();
  if (status.ok()) {
    status = (*supervisor)->Run();
  }
  if (!status.ok()) {
    LogError(absl::StrCat("keep pod: ", status.message()));
  }
  // Without destructors: everything of this process goes with it.
  _exit(status.ok() ? 0 : 1);
}

std::string EncodePid(pid_t pid) {
  const auto number = static_cast<uint32_t>(pid);
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>((number >> shift) & 0xff));
  }
  return bytes;
}

absl::Status ForkKeeper(UniqueFd connection, int server, bool allow_faults) {
  kernel::ForkOptions options;
  // With it the kernel reaps keepers, for that signal is ignored here.
  options.exit_signal = SIGCHLD;
  ASSIGN_OR_RETURN(const kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    close(server);
    signal(SIGCHLD, SIG_DFL);
    setsid();
    RunKeeper(std::move(connection), allow_faults);
  }
  const int fds[] = {forked.pidfd.get()};
  return SendFrame(server, EncodePid(forked.pid), fds);
}

}  // namespace

absl::Status ServeForks(int socket, bool allow_faults) {
  const absl::Status entered = EnterOwnMountNamespace();
  // The daemon waits for it: without it no pod could be made.
  RETURN_IF_ERROR(SendFrame(socket, entered.message(), {}));
  RETURN_IF_ERROR(entered);
  // Keepers that end are nobody's to wait for.
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    absl::StatusOr<Frame> frame = ReceiveFrame(socket);
    if (absl::IsOutOfRange(frame.status())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(frame.status());
    if (frame->fds.size() != 1) {
      return absl::InvalidArgumentError("fork keeper: no socket");
    }
    RETURN_IF_ERROR(ForkKeeper(std::move(frame->fds[0]), socket, allow_faults));
  }
}

}  // namespace caisson::keeper
