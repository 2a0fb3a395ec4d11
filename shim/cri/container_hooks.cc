#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/device/bundle.h"
#include "runtime/device/hook.h"
#include "runtime/device/hook_message.h"
#include "runtime/device/hook_state.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {
namespace {

const char* StatusAt(device::Moment moment) {
  switch (moment) {
    case device::Moment::kStartContainer:
      return "created";
    case device::Moment::kPoststart:
      return "running";
    case device::Moment::kPoststop:
      return "stopped";
    default:
      return "creating";
  }
}

using Extents = google::protobuf::RepeatedPtrField<state::v1::IdExtent>;

std::vector<keeper::v1::IdExtent> ToPlan(const Extents& map) {
  std::vector<keeper::v1::IdExtent> extents;
  for (const state::v1::IdExtent& kept : map) {
    keeper::v1::IdExtent& extent = extents.emplace_back();
    extent.set_container_id(kept.container_id());
    extent.set_host_id(kept.host_id());
    extent.set_length(kept.length());
  }
  return extents;
}

device::BundleFacts FactsOf(const Sandbox& pod, const Container& container,
                            const keeper::v1::ContainerPlan& plan) {
  device::BundleFacts facts;
  facts.hostname = pod.config.hostname();
  facts.cgroup = container.record.cgroup();
  facts.annotations.insert(container.config.annotations().begin(),
                           container.config.annotations().end());
  facts.namespaces = {"mount", "cgroup"};
  const v1::NamespaceOption& options =
      pod.config.linux().security_context().namespace_options();
  const std::pair<bool, const char*> kinds[] = {
      {plan.pid_mode() != keeper::v1::ContainerPlan::PID_NODE, "pid"},
      {options.network() != v1::NODE, "network"},
      {options.network() != v1::NODE, "uts"},
      {options.ipc() != v1::NODE, "ipc"},
      {pod.record.uids_size() > 0, "user"}};
  for (const auto& [own, type] : kinds) {
    if (own) {
      facts.namespaces.push_back(type);
    }
  }
  facts.uids = ToPlan(pod.record.uids());
  facts.gids = ToPlan(pod.record.gids());
  return facts;
}

}  // namespace

std::string Runtime::HookStateOf(const Container& container,
                                 device::Moment moment) const {
  if (container.record.hooks().empty()) {
    return "";
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
  return device::ToJson(state);
}

absl::Status Runtime::PlanHooks(const Sandbox& pod, const Container& container,
                                keeper::v1::ContainerPlan& plan) const {
  if (container.record.hooks().empty()) {
    return absl::OkStatus();
  }
  for (const state::v1::Hook& kept : container.record.hooks()) {
    device::Hook hook = device::FromMessage(kept);
    if (hook.timeout_seconds == 0) {
      hook.timeout_seconds = parts_.config.cdi.hook_timeout_seconds;
    }
    if (hook.moment == device::Moment::kCreateContainer) {
      device::ToMessage(hook, *plan.add_create_hooks());
    }
    if (hook.moment == device::Moment::kStartContainer) {
      device::ToMessage(hook, *plan.add_start_hooks());
    }
  }
  plan.set_create_hook_state(
      HookStateOf(container, device::Moment::kCreateContainer));
  return device::WriteBundle(ContainerDirectory(container.id), plan,
                             FactsOf(pod, container, plan));
}

absl::Status Runtime::RunHooks(const Container& container,
                               device::Moment moment) {
  const absl::Duration timeout =
      absl::Seconds(parts_.config.cdi.hook_timeout_seconds);
  const std::string name(device::MomentName(moment));
  for (const state::v1::Hook& kept : container.record.hooks()) {
    if (kept.moment() == name) {
      RETURN_IF_ERROR(device::RunHook(device::FromMessage(kept),
                                      HookStateOf(container, moment), timeout,
                                      Deadline::Never()));
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
