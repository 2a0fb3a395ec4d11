#include "runtime/pod/keeper_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process_stat.h"

namespace caisson::pod {
namespace {

absl::Status Ended(int pid) {
  return absl::NotFoundError(
      absl::StrCat("find keeper ", pid, ": it has ended"));
}

}  // namespace

bool HasEnded(int pidfd) {
  pollfd end = {pidfd, POLLIN, 0};
  return poll(&end, 1, 0) > 0;
}

absl::Status AwaitProcessEnd(int pidfd, Deadline deadline) {
  for (;;) {
    pollfd end = {pidfd, POLLIN, 0};
    const int count = poll(&end, 1, deadline.poll_timeout());
    if (count > 0) {
      return absl::OkStatus();
    }
    if (count < 0 && errno != EINTR) {
      return ErrnoError("wait for", "process");
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError("wait for process: still there");
    }
  }
}

absl::StatusOr<KeeperIdentity> IdentifyProcess(int pidfd, int pid) {
  const absl::StatusOr<uint64_t> started =
      kernel::ReadProcessStat(pid, kernel::kStatStartTime);
  // Only while it has not ended its number is surely its own.
  if (HasEnded(pidfd)) {
    return Ended(pid);
  }
  RETURN_IF_ERROR(started.status());
  return KeeperIdentity{pid, *started};
}

absl::StatusOr<UniqueFd> OpenProcess(const KeeperIdentity& identity) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0)));
  if (!pidfd.ok()) {
    return errno == ESRCH
               ? Ended(identity.pid)
               : ErrnoError("open process", absl::StrCat(identity.pid));
  }
  ASSIGN_OR_RETURN(const KeeperIdentity found,
                   IdentifyProcess(pidfd.get(), identity.pid));
  if (found.start_ticks != identity.start_ticks) {
    return Ended(identity.pid);
  }
  return pidfd;
}

}  // namespace caisson::pod
