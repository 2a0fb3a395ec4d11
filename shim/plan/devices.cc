#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/device/name.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;
using keeper::v1::Device;

constexpr char kAnnotation[] = "cdi.k8s.io/";

// Ids were checked with the user.
void SetOwner(const ContainerInputs& inputs, Device& device) {
  if (!inputs.policy.device_ownership_from_security_context) {
    return;
  }
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  device.set_uid(static_cast<uint32_t>(security.run_as_user().value()));
  device.set_gid(static_cast<uint32_t>(security.run_as_group().value()));
}

// Names in the order they came in.
struct Names {
  std::vector<std::string> all;
  std::set<std::string> seen;
};

absl::Status AddName(absl::string_view name, absl::string_view field,
                     Names& names) {
  RETURN_IF_ERROR(Annotate(device::CheckQualifiedName(name), field));
  // The kubelet may say it in both ways.
  if (names.seen.insert(std::string(name)).second) {
    names.all.emplace_back(name);
  }
  return absl::OkStatus();
}

// As the CDI has it, a node that names no owner is the container's user's.
Device FromNode(const device::DeviceNode& node, const keeper::v1::Process& of) {
  Device added;
  added.set_host_path(node.host_path);
  added.set_container_path(node.path);
  added.set_permissions(node.permissions);
  added.set_uid(node.uid.value_or(of.uid()));
  added.set_gid(node.gid.value_or(of.gid()));
  added.set_mode(node.file_mode.value_or(0) & 0777);
  return added;
}

// Leaves the last of each path: the last word about one holds.
void AddLastOfEach(std::vector<Device> devices,
                   keeper::v1::ContainerPlan& plan) {
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < devices.size(); ++i) {
    last[devices[i].container_path()] = i;
  }
  for (size_t i = 0; i < devices.size(); ++i) {
    if (last[devices[i].container_path()] == i) {
      *plan.add_devices() = std::move(devices[i]);
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CdiNames(
    const cri::ContainerConfig& config) {
  Names names;
  for (const cri::CDIDevice& each : config.cdi_devices()) {
    RETURN_IF_ERROR(AddName(each.name(), "config.CDI_devices", names));
  }
  // In an order of their own: a map of protobuf has none.
  std::vector<std::string> keys;
  for (const auto& [key, unused] : config.annotations()) {
    if (absl::StartsWith(key, kAnnotation)) {
      keys.push_back(key);
    }
  }
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    const std::string& value = config.annotations().at(key);
    for (absl::string_view name : absl::StrSplit(value, ',')) {
      RETURN_IF_ERROR(
          AddName(name, absl::StrCat("config.annotations ", key), names));
    }
  }
  return std::move(names.all);
}

absl::Status AddDevices(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan) {
  std::vector<Device> devices;
  for (const cri::Device& from : inputs.config.devices()) {
    RETURN_IF_ERROR(
        CheckPlainPath("config.devices.host_path", from.host_path()));
    RETURN_IF_ERROR(
        CheckPlainPath("config.devices.container_path", from.container_path()));
    if (from.permissions().find_first_not_of("rwm") != std::string::npos) {
      return Refuse("config.devices.permissions", from.permissions(),
                    "has other letters than r, w and m");
    }
    Device& device = devices.emplace_back();
    device.set_host_path(from.host_path());
    device.set_container_path(from.container_path());
    device.set_permissions(from.permissions());
    SetOwner(inputs, device);
  }
  for (const device::DeviceNode& node : inputs.edits.nodes) {
    devices.push_back(FromNode(node, plan.process()));
  }
  AddLastOfEach(std::move(devices), plan);
  return absl::OkStatus();
}

}  // namespace caisson::plan
