#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

// Ids were checked with the user.
void SetOwner(const ContainerInputs& inputs, keeper::v1::Device& device) {
  if (!inputs.policy.device_ownership_from_security_context) {
    return;
  }
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  device.set_uid(static_cast<uint32_t>(security.run_as_user().value()));
  device.set_gid(static_cast<uint32_t>(security.run_as_group().value()));
}

}  // namespace

absl::Status AddDevices(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan) {
  for (const cri::Device& from : inputs.config.devices()) {
    RETURN_IF_ERROR(
        CheckPlainPath("config.devices.host_path", from.host_path()));
    RETURN_IF_ERROR(
        CheckPlainPath("config.devices.container_path", from.container_path()));
    if (from.permissions().find_first_not_of("rwm") != std::string::npos) {
      return Refuse("config.devices.permissions", from.permissions(),
                    "has other letters than r, w and m");
    }
    keeper::v1::Device& device = *plan.add_devices();
    device.set_host_path(from.host_path());
    device.set_container_path(from.container_path());
    device.set_permissions(from.permissions());
    SetOwner(inputs, device);
  }
  return absl::OkStatus();
}

}  // namespace caisson::plan
