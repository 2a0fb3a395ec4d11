#pragma once

#include <string>

#include "absl/status/status.h"
#include "runtime/cgroup/cgroup.h"

// Where keepers are when systemd owns the tree of cgroups.
namespace caisson::cri {

// Moves a fork server to "`keepers`.scope" of system.slice, and so the keepers
// that it forks: out of the daemon's unit, which restarts, and out of the pods'
// slices, whose limits are not theirs (catalogue H2).  The scope is made, or is
// there for keepers that an earlier daemon has left.
absl::Status PlaceForkServer(const std::string& keepers,
                             const cgroup::Layout& layout, int pid);

}  // namespace caisson::cri
