#pragma once

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

// A process that does nothing, for the pod's systemd scope: systemd ends a
// scope with the last process in it, and the keeper can't be in there, where
// the pod's limits would be its own (catalogue H2).  It has no capabilities and
// no files, and dies with the keeper.
struct ScopeHolder {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// Forks it, in the keeper's own cgroup; whoever asked for it moves it.
absl::StatusOr<ScopeHolder> StartScopeHolder();

}  // namespace caisson::keeper
