#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/device/hook.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {
namespace {

absl::Status RefuseNode(const device::DeviceNode& node, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "use CDI device node ", node.path, ": ", node.host_path, " ", why));
}

// The container gets the host's node: what the spec says of it must be so.
absl::Status CheckNode(const device::DeviceNode& node) {
  struct stat facts = {};
  // The host's path, named by a spec of root's.
  if (stat(node.host_path.c_str(), &facts) != 0) {
    return RefuseNode(node, strerror(errno));
  }
  const char type = S_ISCHR(facts.st_mode)   ? 'c'
                    : S_ISBLK(facts.st_mode) ? 'b'
                                             : 0;
  if (type == 0) {
    return RefuseNode(node, "is no device");
  }
  if ((node.type != 0 && node.type != type) ||
      (node.major.has_value() && *node.major != major(facts.st_rdev)) ||
      (node.minor.has_value() && *node.minor != minor(facts.st_rdev))) {
    return RefuseNode(
        node, absl::StrCat("is device ", std::string(1, type), " ",
                           major(facts.st_rdev), ":", minor(facts.st_rdev),
                           ", which is not what the spec says"));
  }
  return absl::OkStatus();
}

device::Hook ToHook(const state::v1::Hook& kept, device::Moment moment) {
  device::Hook hook;
  hook.moment = moment;
  hook.path = kept.path();
  hook.arguments.assign(kept.arguments().begin(), kept.arguments().end());
  hook.environment.assign(kept.environment().begin(), kept.environment().end());
  hook.timeout_seconds = kept.timeout_seconds();
  return hook;
}

const char* StatusAt(device::Moment moment) {
  switch (moment) {
    case device::Moment::kPoststart:
      return "running";
    case device::Moment::kPoststop:
      return "stopped";
    default:
      return "creating";
  }
}

}  // namespace

absl::StatusOr<device::Edits> Runtime::FindCdiDevices(
    const v1::ContainerConfig& config) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   plan::CdiNames(config));
  if (names.empty()) {
    return device::Edits();
  }
  ASSIGN_OR_RETURN(device::Edits edits, parts_.devices->Resolve(names));
  for (const device::DeviceNode& node : edits.nodes) {
    RETURN_IF_ERROR(CheckNode(node));
  }
  return edits;
}

absl::Status Runtime::RunHooks(const Container& container,
                               device::Moment moment) {
  if (container.record.hooks().empty()) {
    return absl::OkStatus();
  }
  device::HookState state;
  state.id = container.id;
  state.status = StatusAt(moment);
  if (moment != device::Moment::kPoststop) {
    state.pid = container.record.pid();
  }
  state.bundle = ContainerDirectory(container.id);
  state.annotations.insert(container.config.annotations().begin(),
                           container.config.annotations().end());
  const absl::Duration timeout =
      absl::Seconds(parts_.config.cdi.hook_timeout_seconds);
  const std::string name(device::MomentName(moment));
  for (const state::v1::Hook& kept : container.record.hooks()) {
    if (kept.moment() == name) {
      RETURN_IF_ERROR(device::RunHook(ToHook(kept, moment), state, timeout));
    }
  }
  return absl::OkStatus();
}

void Runtime::RunLateHooks(const Container& container, device::Moment moment) {
  if (absl::Status status = RunHooks(container, moment); !status.ok()) {
    LogWarning(
        absl::StrCat("container ", container.id, ": ", status.message()));
  }
}

}  // namespace caisson::cri
