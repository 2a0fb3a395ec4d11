#include "runtime/identity/capabilities.h"

#include "runtime/base/status.h"
#include "shim/plan/container.h"

namespace caisson::plan {

namespace cri = ::runtime::v1;

absl::Status SetCapabilities(const ContainerInputs& inputs,
                             keeper::v1::Process& process) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  identity::CapabilityRequest request;
  const cri::Capability& asked = security.capabilities();
  request.add.assign(asked.add_capabilities().begin(),
                     asked.add_capabilities().end());
  request.drop.assign(asked.drop_capabilities().begin(),
                      asked.drop_capabilities().end());
  request.add_ambient.assign(asked.add_ambient_capabilities().begin(),
                             asked.add_ambient_capabilities().end());
  request.privileged = security.privileged();
  request.ceiling = inputs.policy.capability_ceiling.value_or(request.ceiling);
  request.ceiling_of = inputs.handler;
  if (!inputs.own_users) {
    request.available = identity::HeldCapabilities();
  }
  const absl::StatusOr<identity::CapabilitySets> resolved =
      identity::ResolveCapabilities(request, process.uid());
  RETURN_IF_ERROR(Annotate(resolved.status(),
                           "check config.linux.security_context.capabilities"));
  const identity::CapabilitySets& sets = *resolved;
  keeper::v1::Capabilities& out = *process.mutable_capabilities();
  out.set_bounding(sets.bounding);
  out.set_permitted(sets.permitted);
  out.set_effective(sets.effective);
  out.set_inheritable(sets.inheritable);
  out.set_ambient(sets.ambient);
  return absl::OkStatus();
}

}  // namespace caisson::plan
