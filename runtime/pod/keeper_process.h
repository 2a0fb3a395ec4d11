#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"
#include "runtime/pod/keeper.h"

// Keepers as processes: found again by number and start time, never by number
// alone.
namespace caisson::pod {

// Its identity, of a process that `pidfd` refers to.  NotFound when it has
// ended.
absl::StatusOr<KeeperIdentity> IdentifyProcess(int pidfd, int pid);

// A pidfd of the very process; NotFound when it has ended.
absl::StatusOr<UniqueFd> OpenProcess(const KeeperIdentity& identity);

// A pidfd is readable from the process's end on (pidfd_open(2)).
bool HasEnded(int pidfd);

// DeadlineExceeded while it is there.
absl::Status AwaitProcessEnd(int pidfd, Deadline deadline);

}  // namespace caisson::pod
