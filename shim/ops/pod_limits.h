#pragma once

#include "absl/status/status.h"
#include "shim/core/pod.h"
#include "shim/ops/node.h"

namespace caisson::ops {

// Makes the pod's cgroup with the limits of its configuration, if it is ours;
// again after each change of them.
absl::Status LimitPod(const Node& node, const core::PodFacts& pod);

}  // namespace caisson::ops
