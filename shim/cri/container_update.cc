#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"
#include "shim/plan/resources.h"

namespace caisson::cri {
namespace {

using state::v1::ContainerRecord;

// All of `wanted`, or what was `before`: the caller is told why not, and the
// log of what could not be put back.
absl::Status Change(const cgroup::Layout& layout, const std::string& path,
                    const cgroup::Limits& wanted,
                    const cgroup::Limits& before) {
  ASSIGN_OR_RETURN(cgroup::Cgroup group, cgroup::Cgroup::Open(layout, path));
  absl::Status status = group.Apply(wanted);
  if (status.ok()) {
    return status;
  }
  const absl::Status undone = group.Apply(plan::Undo(wanted, before));
  if (!undone.ok()) {
    LogError(absl::StrCat("put back limits of ", path, ": ", undone.message()));
  }
  return status;
}

}  // namespace

absl::Status Runtime::UpdateContainer(
    const v1::UpdateContainerResourcesRequest& request) {
  ASSIGN_OR_RETURN(const ContainerPtr container,
                   FindContainer(request.container_id()));
  const std::lock_guard<std::mutex> operation(container->operation);
  v1::LinuxContainerResources now;
  {
    const std::lock_guard<std::mutex> lock(container->mutex);
    const ContainerRecord& record = container->record;
    if (record.state() != ContainerRecord::CREATED &&
        record.state() != ContainerRecord::RUNNING) {
      return absl::FailedPreconditionError(
          absl::StrCat("update container ", container->id,
                       ": it neither is created nor runs"));
    }
    now = container->config.linux().resources();
  }
  v1::LinuxContainerResources merged = now;
  plan::Merge(request.linux(), merged);
  ASSIGN_OR_RETURN(const cgroup::Limits before, plan::PlanLimits(now, "linux"));
  ASSIGN_OR_RETURN(const cgroup::Limits wanted,
                   plan::PlanLimits(merged, "linux"));
  RETURN_IF_ERROR(
      Annotate(FromWork(Change(parts_.layout, container->record.cgroup(),
                               wanted, before)),
               absl::StrCat("update container ", container->id)));
  const std::lock_guard<std::mutex> lock(container->mutex);
  *container->config.mutable_linux()->mutable_resources() = std::move(merged);
  container->record.set_config(container->config.SerializeAsString());
  return parts_.store->PutContainer(container->record);
}

absl::Status Runtime::LimitPod(Sandbox& pod) {
  const v1::LinuxPodSandboxConfig& config = pod.config.linux();
  // Another's parent cgroup is limited by whoever made it.
  if (!config.cgroup_parent().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      const cgroup::Limits limits,
      plan::PlanLimits(plan::Sum(config.resources(), config.overhead()),
                       "config.linux.resources"));
  ASSIGN_OR_RETURN(cgroup::Cgroup group,
                   cgroup::Cgroup::Create(parts_.layout, pod.record.cgroup()));
  return group.Apply(limits);
}

absl::Status Runtime::UpdatePod(
    const v1::UpdatePodSandboxResourcesRequest& request) {
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(request.pod_sandbox_id()));
  const std::lock_guard<std::mutex> operation(pod->operation);
  const v1::PodSandboxConfig before = pod->config;
  v1::LinuxPodSandboxConfig& config = *pod->config.mutable_linux();
  plan::Merge(request.resources(), *config.mutable_resources());
  plan::Merge(request.overhead(), *config.mutable_overhead());
  absl::Status status = FromWork(LimitPod(*pod));
  if (!status.ok()) {
    pod->config = before;
    const absl::Status undone = LimitPod(*pod);
    if (!undone.ok()) {
      LogError(absl::StrCat("put back limits of pod ", pod->id, ": ",
                            undone.message()));
    }
    return Annotate(status, absl::StrCat("update pod sandbox ", pod->id));
  }
  const std::lock_guard<std::mutex> lock(pod->mutex);
  pod->record.set_config(pod->config.SerializeAsString());
  return parts_.store->UpdatePod(pod->record);
}

}  // namespace caisson::cri
