#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/cri/v1/api.pb.h"
#include "runtime/cgroup/cgroup.h"

// The CRI's resources as limits of a cgroup.  Pure.
namespace caisson::plan {

// What is 0 or empty is no limit of its own.  Bytes of -1, and those that the
// kernel shows where there is no limit, lift one.  InvalidArgument names the
// field, below `field`, and its value.
absl::StatusOr<cgroup::Limits> PlanLimits(
    const runtime::v1::LinuxContainerResources& resources,
    absl::string_view field);

// An update: what `change` sets replaces what `resources` has, the rest stays.
// oom_score_adj is fixed when a container is created.
void Merge(const runtime::v1::LinuxContainerResources& change,
           runtime::v1::LinuxContainerResources& resources);

// Two together, as the pod's resources and its overhead: limits add up, and
// one that a side leaves open is open.
runtime::v1::LinuxContainerResources Sum(
    const runtime::v1::LinuxContainerResources& a,
    const runtime::v1::LinuxContainerResources& b);

// What undoes `change` of a cgroup whose limits were `before`: those, and the
// kernel's defaults for what they leave open.
cgroup::Limits Undo(const cgroup::Limits& change, const cgroup::Limits& before);

}  // namespace caisson::plan
