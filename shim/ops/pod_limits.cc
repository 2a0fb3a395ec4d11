#include "shim/ops/pod_limits.h"

#include "runtime/base/status.h"
#include "shim/ops/cgroup_mark.h"
#include "shim/plan/resources.h"

namespace caisson::ops {

absl::Status LimitPod(const Node& node, const core::PodFacts& pod) {
  const v1::LinuxPodSandboxConfig& config = pod.config->linux();
  // Another's parent cgroup is limited by whoever made it.
  if (!config.cgroup_parent().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      const cgroup::Limits limits,
      plan::PlanLimits(plan::Sum(config.resources(), config.overhead()),
                       "config.linux.resources"));
  ASSIGN_OR_RETURN(cgroup::Cgroup group,
                   cgroup::Cgroup::Create(node.layout, pod.record.cgroup()));
  RETURN_IF_ERROR(group.Mark(CgroupMark(node, pod.record.id())));
  return group.Apply(limits);
}

}  // namespace caisson::ops
