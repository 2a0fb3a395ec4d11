#include "shim/ops/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/device_filter.h"

namespace caisson::ops {
namespace {

// The host's path, named by the kubelet.
absl::StatusOr<struct stat> FindDevice(const keeper::v1::Device& device) {
  struct stat facts = {};
  if (stat(device.host_path().c_str(), &facts) != 0) {
    return ErrnoError("find device", device.host_path());
  }
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.devices.host_path: ", device.host_path(), " is no device"));
  }
  return facts;
}

cgroup::DeviceRule RuleOf(const keeper::v1::Device& device,
                          const struct stat& facts) {
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

absl::Status GuardDevices(const Node& node, keeper::v1::ContainerPlan& plan,
                          const cgroup::Cgroup& group) {
  std::vector<cgroup::DeviceRule> rules = cgroup::StandardDeviceRules();
  for (keeper::v1::Device& device : *plan.mutable_devices()) {
    ASSIGN_OR_RETURN(const struct stat facts, FindDevice(device));
    const mode_t mode = device.mode() != 0
                            ? (facts.st_mode & S_IFMT) | device.mode()
                            : facts.st_mode;
    device.set_own_node(device.uid() != 0 || device.gid() != 0 ||
                        mode != facts.st_mode);
    device.set_mode(mode);
    device.set_number(facts.st_rdev);
    device.set_host_uid(facts.st_uid);
    device.set_host_gid(facts.st_gid);
    rules.push_back(RuleOf(device, facts));
  }
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
