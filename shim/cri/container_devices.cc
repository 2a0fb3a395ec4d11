#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {
namespace {

absl::StatusOr<cgroup::DeviceRule> RuleOf(const keeper::v1::Device& device) {
  struct stat facts = {};
  // The host's path, named by the kubelet.
  if (stat(device.host_path().c_str(), &facts) != 0) {
    return ErrnoError("find device", device.host_path());
  }
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.devices.host_path: ", device.host_path(), " is no device"));
  }
  cgroup::DeviceRule rule;
  rule.block = S_ISBLK(facts.st_mode);
  rule.major = major(facts.st_rdev);
  rule.minor = minor(facts.st_rdev);
  rule.read = absl::StrContains(device.permissions(), 'r');
  rule.write = absl::StrContains(device.permissions(), 'w');
  rule.make = absl::StrContains(device.permissions(), 'm');
  return rule;
}

}  // namespace

absl::Status Runtime::GuardDevices(const keeper::v1::ContainerPlan& plan,
                                   const cgroup::Cgroup& group) {
  if (plan.host_devices()) {
    return absl::OkStatus();
  }
  if (plan.devices().empty() && parts_.device_filter.ok()) {
    return cgroup::AttachDeviceFilter(group, parts_.device_filter.get());
  }
  std::vector<cgroup::DeviceRule> rules = cgroup::StandardDeviceRules();
  for (const keeper::v1::Device& device : plan.devices()) {
    ASSIGN_OR_RETURN(const cgroup::DeviceRule rule, RuleOf(device));
    rules.push_back(rule);
  }
  ASSIGN_OR_RETURN(const UniqueFd program, cgroup::LoadDeviceFilter(rules));
  return cgroup::AttachDeviceFilter(group, program.get());
}

}  // namespace caisson::cri
