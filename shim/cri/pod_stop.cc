#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"
#include "shim/ops/pod_files.h"

namespace caisson::cri {

network::Attachment Runtime::AttachmentOf(const Sandbox& pod) const {
  network::Attachment attachment;
  attachment.pod_id = pod.id;
  attachment.netns_path = pod.record.netns_path();
  attachment.pod_name = pod.config.metadata().name();
  attachment.pod_namespace = pod.config.metadata().namespace_();
  attachment.pod_uid = pod.config.metadata().uid();
  for (const v1::PortMapping& port : pod.config.port_mappings()) {
    if (port.host_port() != 0) {
      const char* protocol = port.protocol() == v1::UDP    ? "udp"
                             : port.protocol() == v1::SCTP ? "sctp"
                                                           : "tcp";
      attachment.ports.push_back(
          {port.host_port(), port.container_port(), protocol, port.host_ip()});
    }
  }
  attachment.annotations.insert(pod.config.annotations().begin(),
                                pod.config.annotations().end());
  return attachment;
}

absl::Status Runtime::DetachNetwork(Sandbox& pod) {
  if (!pod.record.network_attached()) {
    return absl::OkStatus();
  }
  network::Attachment attachment = AttachmentOf(pod);
  // Nothing was pinned, or a reboot took it.
  if (access(attachment.netns_path.c_str(), F_OK) != 0) {
    attachment.netns_path.clear();
  }
  // The pin stays until DEL succeeded: without the namespace plugins leak
  // their rules.
  RETURN_IF_ERROR(parts_.cni->Delete(attachment));
  RETURN_IF_ERROR(network::UnpinNamespace(pod.record.netns_path()));
  const std::lock_guard<std::mutex> lock(pod.mutex);
  pod.record.set_network_attached(false);
  return parts_.store->UpdatePod(pod.record);
}

absl::Status Runtime::EndKeeper(Sandbox& pod) {
  std::shared_ptr<pod::Keeper> keeper;
  {
    const std::lock_guard<std::mutex> lock(pod.mutex);
    pod.stopping = true;
    keeper.swap(pod.keeper);
  }
  if (keeper != nullptr) {
    const absl::Status ended = keeper->Shutdown();
    // Unavailable: it was gone already.
    if (!ended.ok() && !absl::IsUnavailable(ended)) {
      return ended;
    }
  }
  unlink(pod.record.keeper_socket().c_str());
  return absl::OkStatus();
}

absl::Status Runtime::RemovePodCgroup(const Sandbox& pod) {
  if (!pod.record.owns_cgroup()) {
    return absl::OkStatus();
  }
  absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.layout, pod.record.cgroup());
  if (absl::IsNotFound(group.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group.status());
  return group->Destroy();
}

absl::Status Runtime::StopPod(const std::string& id) {
  const absl::StatusOr<SandboxPtr> found = FindPod(id);
  if (!found.ok()) {
    return absl::OkStatus();
  }
  Sandbox& pod = **found;
  const std::lock_guard<std::mutex> operation(pod.operation);
  {
    const std::lock_guard<std::mutex> lock(pod.mutex);
    pod.stopping = true;
    pod.record.set_state(state::v1::PodRecord::STOPPED);
    RETURN_IF_ERROR(parts_.store->UpdatePod(pod.record));
  }
  for (const ContainerPtr& container : ContainersOf(pod.id)) {
    StopBy(*container, absl::ZeroDuration());
    const std::lock_guard<std::mutex> one(container->operation);
    RETURN_IF_ERROR(
        Annotate(FromWork(EndContainer(*container, absl::ZeroDuration())),
                 absl::StrCat("stop container ", container->id)));
  }
  RETURN_IF_ERROR(
      Annotate(FromWork(DetachNetwork(pod)), "stop pod sandbox: network"));
  return Annotate(FromWork(EndKeeper(pod)), "stop pod sandbox: keeper");
}

absl::Status Runtime::RemovePod(const std::string& id) {
  const absl::StatusOr<SandboxPtr> found = FindPod(id);
  if (!found.ok()) {
    return absl::OkStatus();
  }
  Sandbox& pod = **found;
  RETURN_IF_ERROR(StopPod(pod.id));
  for (const ContainerPtr& container : ContainersOf(pod.id)) {
    RETURN_IF_ERROR(RemoveContainer(container->id));
  }
  const std::lock_guard<std::mutex> operation(pod.operation);
  RETURN_IF_ERROR(
      Annotate(FromWork(RemovePodCgroup(pod)), "remove pod sandbox"));
  RETURN_IF_ERROR(
      Annotate(FromWork(ops::RemovePodDirectory(PodDirectory(pod.id))),
               "remove pod sandbox"));
  RETURN_IF_ERROR(parts_.store->RemovePod(pod.id));
  levels_.Release(pod.record.selinux_level());
  const std::lock_guard<std::mutex> lock(mutex_);
  pods_.erase(pod.id);
  return absl::OkStatus();
}

}  // namespace caisson::cri
