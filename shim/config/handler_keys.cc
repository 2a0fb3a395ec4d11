#include "shim/config/keys.h"

namespace caisson::config {
namespace {

template <typename Policy, Policy Handler::*kMember>
constexpr Choice ChoiceOf(absl::Span<const absl::string_view> words) {
  return {words,
          [](const Handler& handler) {
            return static_cast<size_t>(handler.*kMember);
          },
          [](Handler& handler, size_t word) {
            handler.*kMember = static_cast<Policy>(word);
          }};
}

constexpr absl::string_view kUserNamespace[] = {"always", "requested"};
constexpr absl::string_view kHostPath[] = {"map", "unmapped", "refuse"};
constexpr absl::string_view kUnmappable[] = {"refuse", "unmapped"};

constexpr HandlerKey kKeys[] = {
    {"user_namespace",
     "\"always\": every pod gets a range of ids of its own, but for those\n"
     "that are privileged or share the host's network, pid or ipc namespace;\n"
     "\"requested\": what hostUsers says.",
     ChoiceOf<UserNamespacePolicy, &Handler::user_namespace>(kUserNamespace)},
    {"host_path",
     "A volume outside of kubelet_dir, for a pod with ids of its own.\n"
     "\"map\": what its root writes is root's on the host; \"unmapped\": its\n"
     "root is nobody there; \"refuse\".",
     ChoiceOf<HostPathPolicy, &Handler::host_path>(kHostPath)},
    {"unmappable",
     "A volume, or a mount below one, whose filesystem has no ID-mapped\n"
     "mounts (overlay, NFS): \"refuse\" or \"unmapped\".",
     ChoiceOf<UnmappablePolicy, &Handler::unmappable>(kUnmappable)},
    {"capability_ceiling",
     "Names of the only capabilities that a container can have, as\n"
     "[\"CHOWN\", \"KILL\"]; a request beyond them, also a privileged\n"
     "container, is refused.  Without the key there is no ceiling.",
     CapabilityList{[](Handler& handler) -> std::optional<uint64_t>& {
       return handler.capability_ceiling;
     }}},
    {"privileged_without_host_devices",
     "A privileged container gets the usual devices only.",
     HandlerSwitch{[](Handler& handler) -> bool& {
       return handler.privileged_without_host_devices;
     }}},
    {"device_ownership_from_security_context",
     "Devices of a container are owned by its runAsUser and runAsGroup.",
     HandlerSwitch{[](Handler& handler) -> bool& {
       return handler.device_ownership_from_security_context;
     }}},
};

}  // namespace

absl::Span<const HandlerKey> HandlerKeys() {
  return kKeys;
}

}  // namespace caisson::config
