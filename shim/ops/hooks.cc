#include "shim/ops/hooks.h"

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
#include "runtime/identity/id_map.h"

namespace caisson::ops {
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

device::BundleFacts FactsOf(const core::PodFacts& pod,
                            const core::ContainerFacts& container,
                            const keeper::v1::ContainerPlan& plan) {
  device::BundleFacts facts;
  facts.hostname = pod.config->hostname();
  facts.cgroup = container.record.cgroup();
  facts.annotations.insert(container.config->annotations().begin(),
                           container.config->annotations().end());
  facts.namespaces = {"mount", "cgroup"};
  const v1::NamespaceOption& options =
      pod.config->linux().security_context().namespace_options();
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
  identity::IdMap::From(pod.record.uids()).CopyTo(&facts.uids);
  identity::IdMap::From(pod.record.gids()).CopyTo(&facts.gids);
  return facts;
}

}  // namespace

std::string Hooks::StateOf(const core::ContainerFacts& container,
                           device::Moment moment) const {
  if (container.record.hooks().empty()) {
    return "";
  }
  device::HookState state;
  state.id = container.record.id();
  state.status = StatusAt(moment);
  if (moment != device::Moment::kPoststop) {
    state.pid = container.record.pid();
  }
  state.bundle = paths_.ContainerDirectory(container.record.id());
  state.annotations.insert(container.config->annotations().begin(),
                           container.config->annotations().end());
  return device::ToJson(state);
}

absl::Status Hooks::Plan(const core::PodFacts& pod,
                         const core::ContainerFacts& container,
                         keeper::v1::ContainerPlan& plan) const {
  if (container.record.hooks().empty()) {
    return absl::OkStatus();
  }
  for (const state::v1::Hook& kept : container.record.hooks()) {
    device::Hook hook = device::FromMessage(kept);
    if (hook.timeout_seconds == 0) {
      hook.timeout_seconds = node_.config.cdi.hook_timeout_seconds;
    }
    if (hook.moment == device::Moment::kCreateContainer) {
      device::ToMessage(hook, *plan.add_create_hooks());
    }
    if (hook.moment == device::Moment::kStartContainer) {
      device::ToMessage(hook, *plan.add_start_hooks());
    }
  }
  plan.set_create_hook_state(
      StateOf(container, device::Moment::kCreateContainer));
  return device::WriteBundle(paths_.ContainerDirectory(container.record.id()),
                             plan, FactsOf(pod, container, plan));
}

absl::Status Hooks::Run(const core::ContainerFacts& container,
                        device::Moment moment, Deadline deadline) const {
  const absl::Duration timeout =
      absl::Seconds(node_.config.cdi.hook_timeout_seconds);
  const std::string name(device::MomentName(moment));
  for (const state::v1::Hook& kept : container.record.hooks()) {
    if (kept.moment() == name) {
      RETURN_IF_ERROR(device::RunHook(device::FromMessage(kept),
                                      StateOf(container, moment), timeout,
                                      deadline));
    }
  }
  return absl::OkStatus();
}

void Hooks::RunLate(const core::ContainerFacts& container,
                    device::Moment moment) const {
  const absl::Duration all =
      absl::Seconds(int64_t{node_.config.cdi.hook_timeout_seconds} *
                    (container.record.hooks_size() + 1));
  if (absl::Status status = Run(container, moment, Deadline::After(all));
      !status.ok()) {
    LogWarning(absl::StrCat("container ", container.record.id(), ": ",
                            status.message()));
  }
}

}  // namespace caisson::ops
