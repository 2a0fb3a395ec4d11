#include "shim/ops/container_parts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"
#include "shim/ops/cgroup_fds.h"
#include "shim/ops/cgroup_mark.h"
#include "shim/ops/devices.h"
#include "shim/ops/image_volumes.h"
#include "shim/ops/log_file.h"
#include "shim/ops/pod_ids.h"

namespace caisson::ops {
namespace {

absl::Status MakeOwned(int parent, const char* name, uid_t owner) {
  if (mkdirat(parent, name, 0755) != 0 ||
      fchownat(parent, name, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("create directory", name);
  }
  return absl::OkStatus();
}

// The container's directory, with those of its overlay.
absl::Status MakeHome(const std::string& home, uid_t owner) {
  if (mkdir(home.c_str(), 0700) != 0) {
    return ErrnoError("create directory", home);
  }
  const UniqueFd directory(
      open(home.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.ok()) {
    return ErrnoError("open", home);
  }
  RETURN_IF_ERROR(MakeOwned(directory.get(), "upper", owner));
  return MakeOwned(directory.get(), "work", owner);
}

}  // namespace

absl::Status ContainerParts::MakeGroup(
    const core::ContainerFacts& container,
    const plan::ContainerDecision& decision,
    pod::WithFds<keeper::v1::ContainerPlan>& plan) {
  ASSIGN_OR_RETURN(
      cgroup::Cgroup group,
      cgroup::Cgroup::Create(node_.layout, container.record.cgroup()));
  // Found again also where its record is lost.
  RETURN_IF_ERROR(group.Mark(CgroupMark(node_, container.record.pod_id())));
  RETURN_IF_ERROR(group.Apply(decision.limits));
  RETURN_IF_ERROR(GuardDevices(node_, plan.message, group));
  return AttachCgroup(group, group, plan);
}

absl::Status ContainerParts::MakeFiles(const core::PodFacts& pod,
                                       const core::ContainerFacts& container,
                                       keeper::v1::ContainerPlan& plan) {
  RETURN_IF_ERROR(MountImageVolumes(images_, plan));
  const std::string home = paths_.ContainerDirectory(container.record.id());
  ASSIGN_OR_RETURN(const uid_t owner, HostRootOf(pod.record));
  RETURN_IF_ERROR(MakeHome(home, owner));
  plan.set_home_directory(home);
  ASSIGN_OR_RETURN(const std::vector<std::string> layers,
                   images_.MountLayers(container.record.image_id()));
  plan.mutable_layers()->Assign(layers.begin(), layers.end());
  plan.add_layers(paths_.BaseLayer());
  return absl::OkStatus();
}

absl::Status ContainerParts::Make(
    const core::PodFacts& pod, const core::ContainerFacts& container,
    const plan::ContainerDecision& decision,
    pod::WithFds<keeper::v1::ContainerPlan>& plan) {
  RETURN_IF_ERROR(MakeFiles(pod, container, plan.message));
  RETURN_IF_ERROR(MakeGroup(container, decision, plan));
  if (!decision.log_path.empty()) {
    ASSIGN_OR_RETURN(UniqueFd log, OpenLogFile(decision.log_path));
    plan.message.set_log_fd(plan.Attach(std::move(log)));
  }
  return hooks_.Plan(pod, container, plan.message);
}

}  // namespace caisson::ops
