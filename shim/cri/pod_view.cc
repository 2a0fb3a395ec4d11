#include "shim/cri/pod_view.h"

#include "absl/strings/match.h"
#include "shim/cri/filter.h"
#include "shim/cri/info.h"

namespace caisson::cri {
namespace {

v1::PodSandboxState StateOf(const core::PodFacts& pod) {
  return pod.record.state() == state::v1::PodRecord::READY
             ? v1::SANDBOX_READY
             : v1::SANDBOX_NOTREADY;
}

void FillStatus(const core::PodFacts& pod, v1::PodSandboxStatus& status) {
  status.set_id(pod.record.id());
  *status.mutable_metadata() = pod.config->metadata();
  status.set_state(StateOf(pod));
  status.set_created_at(pod.record.created_at());
  *status.mutable_labels() = pod.config->labels();
  *status.mutable_annotations() = pod.config->annotations();
  status.set_runtime_handler(pod.record.handler());
  v1::PodSandboxNetworkStatus& network = *status.mutable_network();
  for (int i = 0; i < pod.record.ips_size(); ++i) {
    if (i == 0) {
      network.set_ip(pod.record.ips(i));
    } else {
      network.add_additional_ips()->set_ip(pod.record.ips(i));
    }
  }
  v1::NamespaceOption& options =
      *status.mutable_linux()->mutable_namespaces()->mutable_options();
  options = pod.config->linux().security_context().namespace_options();
  if (pod.record.uids_size() == 0) {
    return;
  }
  v1::UserNamespace& users = *options.mutable_userns_options();
  users.Clear();
  users.set_mode(v1::POD);
  const auto add = [](const auto& extents, auto* lines) {
    for (const state::v1::IdExtent& extent : extents) {
      v1::IDMapping& line = *lines->Add();
      line.set_container_id(extent.container_id());
      line.set_host_id(extent.host_id());
      line.set_length(extent.length());
    }
  };
  add(pod.record.uids(), users.mutable_uids());
  add(pod.record.gids(), users.mutable_gids());
}

}  // namespace

void FillPodStatus(const core::PodFacts& pod, const std::string& handler,
                   bool verbose, v1::PodSandboxStatusResponse& response) {
  FillStatus(pod, *response.mutable_status());
  if (verbose) {
    (*response.mutable_info())["info"] = PodInfo(pod, handler);
  }
}

void ListPods(const core::Registry& registry,
              const v1::PodSandboxFilter& filter,
              v1::ListPodSandboxResponse& response) {
  for (const core::PodPtr& pod : registry.Pods()) {
    const core::PodFactsPtr facts = pod->facts();
    const v1::PodSandboxState state = StateOf(*facts);
    // Nobody has the id of one that is being made.
    if (facts->record.state() == state::v1::PodRecord::CREATING ||
        !absl::StartsWith(pod->id(), filter.id()) ||
        (filter.has_state() && filter.state().state() != state) ||
        !HasLabels(facts->config->labels(), filter.label_selector())) {
      continue;
    }
    v1::PodSandbox& item = *response.add_items();
    item.set_id(pod->id());
    *item.mutable_metadata() = facts->config->metadata();
    item.set_state(state);
    item.set_created_at(facts->record.created_at());
    *item.mutable_labels() = facts->config->labels();
    *item.mutable_annotations() = facts->config->annotations();
    item.set_runtime_handler(facts->record.handler());
  }
}

}  // namespace caisson::cri
