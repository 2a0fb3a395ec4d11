#include "shim/ops/update_resources.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/core/lifecycle.h"
#include "shim/ops/pod_limits.h"
#include "shim/plan/resources.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

// All of `wanted`, or what was `before`: the caller is told why not, and the
// log of what could not be put back.
absl::Status ChangeLimits(const cgroup::Layout& layout, const std::string& path,
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

absl::Status UpdateResources::Update(
    core::Container& container, const v1::LinuxContainerResources& change) {
  MutexLock one(container.limiting());
  const core::ContainerFactsPtr facts = container.facts();
  const ContainerRecord::State state = facts->record.state();
  if (state != ContainerRecord::CREATED && state != ContainerRecord::RUNNING) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it is ", core::StateName(state), ": neither created nor running"));
  }
  const v1::LinuxContainerResources& now = facts->config->linux().resources();
  v1::LinuxContainerResources merged = now;
  plan::Merge(change, merged);
  ASSIGN_OR_RETURN(const cgroup::Limits before, plan::PlanLimits(now, "linux"));
  ASSIGN_OR_RETURN(const cgroup::Limits wanted,
                   plan::PlanLimits(merged, "linux"));
  RETURN_IF_ERROR(
      ChangeLimits(node_.layout, facts->record.cgroup(), wanted, before));
  auto config = std::make_shared<v1::ContainerConfig>(*facts->config);
  *config->mutable_linux()->mutable_resources() = std::move(merged);
  return transitions_.Note(container, [&](core::ContainerFacts& changed) {
    changed.config = std::move(config);
  });
}

absl::Status UpdateResources::Update(
    core::Pod& pod, const v1::UpdatePodSandboxResourcesRequest& request) {
  MutexLock one(pod.limiting());
  const core::PodFactsPtr before = pod.facts();
  core::PodFacts after = *before;
  auto config = std::make_shared<v1::PodSandboxConfig>(*before->config);
  plan::Merge(request.resources(),
              *config->mutable_linux()->mutable_resources());
  plan::Merge(request.overhead(), *config->mutable_linux()->mutable_overhead());
  after.config = config;
  const absl::Status status = LimitPod(node_, after);
  if (!status.ok()) {
    const absl::Status undone = LimitPod(node_, *before);
    if (!undone.ok()) {
      LogError(absl::StrCat("put back limits of pod ", pod.id(), ": ",
                            undone.message()));
    }
    return status;
  }
  return transitions_.Note(pod, [&](core::PodFacts& changed) {
    changed.config = std::move(config);
  });
}

}  // namespace caisson::ops
