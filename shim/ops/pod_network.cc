#include "shim/ops/pod_network.h"

#include <utility>

#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

const char* NameOf(v1::Protocol protocol) {
  switch (protocol) {
    case v1::UDP:
      return "udp";
    case v1::SCTP:
      return "sctp";
    default:
      return "tcp";
  }
}

network::Attachment AttachmentOf(const core::PodFacts& facts) {
  const v1::PodSandboxConfig& config = *facts.config;
  network::Attachment attachment;
  attachment.pod_id = facts.record.id();
  attachment.netns_path = facts.record.netns_path();
  attachment.pod_name = config.metadata().name();
  attachment.pod_namespace = config.metadata().namespace_();
  attachment.pod_uid = config.metadata().uid();
  for (const v1::PortMapping& port : config.port_mappings()) {
    if (port.host_port() != 0) {
      attachment.ports.push_back({port.host_port(), port.container_port(),
                                  NameOf(port.protocol()), port.host_ip()});
    }
  }
  attachment.annotations.insert(config.annotations().begin(),
                                config.annotations().end());
  return attachment;
}

}  // namespace

absl::Status PodNetwork::Attach(core::Pod& pod, UniqueFd network,
                                Deadline deadline) {
  // The intent first: a crash from here on leaves something to undo.
  RETURN_IF_ERROR(transitions_.Note(pod, [&](core::PodFacts& facts) {
    facts.record.set_netns_path(paths_.NetworkPin(pod.id()));
    facts.record.set_network_attached(true);
  }));
  const core::PodFactsPtr facts = pod.facts();
  RETURN_IF_ERROR(
      network::PinNamespace(network.get(), facts->record.netns_path()));
  ASSIGN_OR_RETURN(const network::Addresses addresses,
                   cni_.Add(AttachmentOf(*facts), deadline));
  // Recorded with the state that follows.
  transitions_.NoteUnrecorded(pod, [&](core::PodFacts& now) {
    now.record.mutable_ips()->Assign(addresses.ips.begin(),
                                     addresses.ips.end());
  });
  return absl::OkStatus();
}

absl::Status PodNetwork::Detach(core::Pod& pod, Deadline deadline) {
  const core::PodFactsPtr facts = pod.facts();
  if (!facts->record.network_attached()) {
    return absl::OkStatus();
  }
  // The pin stays until DEL succeeded: without the namespace plugins leak
  // their rules.
  RETURN_IF_ERROR(cni_.Delete(AttachmentOf(*facts), deadline));
  RETURN_IF_ERROR(network::UnpinNamespace(facts->record.netns_path()));
  return transitions_.Note(
      pod, [](core::PodFacts& now) { now.record.set_network_attached(false); });
}

}  // namespace caisson::ops
