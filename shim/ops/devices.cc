#include "shim/ops/devices.h"

#include <vector>

#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "shim/ops/host_devices.h"

namespace caisson::ops {

absl::Status GuardDevices(const Node& node, keeper::v1::ContainerPlan& plan,
                          const cgroup::Cgroup& group) {
  std::vector<cgroup::DeviceRule> rules = cgroup::StandardDeviceRules();
  ASSIGN_OR_RETURN(const std::vector<cgroup::DeviceRule> asked,
                   ResolveDevices(plan));
  rules.insert(rules.end(), asked.begin(), asked.end());
  if (plan.host_devices()) {
    return absl::OkStatus();
  }
  if (plan.devices().empty() && node.device_filter.ok()) {
    return cgroup::AttachDeviceFilter(group, node.device_filter.get());
  }
  ASSIGN_OR_RETURN(const UniqueFd program, cgroup::LoadDeviceFilter(rules));
  return cgroup::AttachDeviceFilter(group, program.get());
}

}  // namespace caisson::ops
