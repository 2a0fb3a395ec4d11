#include <vector>

#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "shim/cri/runtime.h"
#include "shim/ops/host_devices.h"

namespace caisson::cri {

absl::Status Runtime::GuardDevices(keeper::v1::ContainerPlan& plan,
                                   const cgroup::Cgroup& group) {
  std::vector<cgroup::DeviceRule> rules = cgroup::StandardDeviceRules();
  ASSIGN_OR_RETURN(const std::vector<cgroup::DeviceRule> asked,
                   ops::ResolveDevices(plan));
  rules.insert(rules.end(), asked.begin(), asked.end());
  if (plan.host_devices()) {
    return absl::OkStatus();
  }
  if (plan.devices().empty() && parts_.device_filter.ok()) {
    return cgroup::AttachDeviceFilter(group, parts_.device_filter.get());
  }
  ASSIGN_OR_RETURN(const UniqueFd program, cgroup::LoadDeviceFilter(rules));
  return cgroup::AttachDeviceFilter(group, program.get());
}

}  // namespace caisson::cri
