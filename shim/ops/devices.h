#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/device/registry.h"
#include "shim/ops/node.h"

namespace caisson::ops {

// devices.cc: lets `group` open its plan's devices and no other, and tells the
// plan what the host's nodes are; InvalidArgument or NotFound for what is no
// device.
absl::Status GuardDevices(const Node& node, keeper::v1::ContainerPlan& plan,
                          const cgroup::Cgroup& group);

// cdi.cc: what the CDI devices of `config` bring, with the host's nodes found;
// FailedPrecondition or InvalidArgument.
absl::StatusOr<device::Edits> FindCdiDevices(
    device::Registry& registry, const runtime::v1::ContainerConfig& config);

}  // namespace caisson::ops
