#pragma once

#include <string>

#include "absl/status/status.h"
#include "runtime/base/deadline.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/core/pod.h"
#include "shim/ops/node.h"

// Where keepers are when systemd owns the tree of cgroups.
namespace caisson::ops {

// Moves a fork server to "`keepers`.scope" of system.slice, and so the keepers
// that it forks: out of the daemon's unit, which restarts, and out of the pods'
// slices, whose limits are not theirs (catalogue H2).  The scope is made, or is
// there for keepers that an earlier daemon has left.
absl::Status PlaceForkServer(const std::string& keepers,
                             const cgroup::Layout& layout, int pid);

// Relative path of the cgroup that all keepers are in.
std::string KeepersCgroup(const config::Config::Cgroup& config);

// Makes the pod's scope in `slice`, with the process `holder` in it, and its
// cgroup below.  The scope goes with that process, which goes with the keeper.
absl::Status StartPodScope(const Node& node, const std::string& slice,
                           const core::PodFacts& pod, int holder,
                           Deadline deadline);

}  // namespace caisson::ops
