#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/namespace_holder.h"
#include "runtime/keeper/pod.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

struct PodContext {
  const v1::PodPlan& plan;
  Pod& pod;
  StepTimes& times;
  std::string& failed;
  RequestFds& fds;
  // Makes the namespaces and keeps them until they are held by fd.
  NamespaceHolder holder;
};

absl::Status RecordPlan(PodContext& context) {
  Pod& pod = context.pod;
  pod.id = context.plan.pod_id();
  pod.uids = context.plan.uids();
  pod.gids = context.plan.gids();
  pod.mount_directory = context.plan.mount_directory();
  pod.file_context = context.plan.file_context();
  if (pod.has_user_namespace()) {
    pod.root.uid = HostId(pod.uids, 0);
    pod.root.gid = HostId(pod.gids, 0);
  }
  return absl::OkStatus();
}

absl::Status StartHolder(PodContext& context) {
  return context.holder.Start(context.plan, context.pod.root);
}

absl::Status WriteIdMaps(PodContext& context) {
  if (!context.pod.has_user_namespace()) {
    return absl::OkStatus();
  }
  return context.holder.WriteIdMaps(context.pod.uids, context.pod.gids);
}

absl::Status ConfigureNamespaces(PodContext& context) {
  return context.holder.Configure();
}

absl::Status HoldNamespaces(PodContext& context) {
  const v1::PodPlan& plan = context.plan;
  Pod& pod = context.pod;
  using kernel::Namespace;
  const auto hold = [&](bool own, Namespace kind,
                        UniqueFd& fd) -> absl::Status {
    if (!own) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(fd, context.holder.Open(kind));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(hold(pod.has_user_namespace(), Namespace::kUser, pod.user));
  RETURN_IF_ERROR(hold(plan.own_network(), Namespace::kNetwork, pod.network));
  RETURN_IF_ERROR(hold(plan.own_ipc(), Namespace::kIpc, pod.ipc));
  return hold(plan.own_uts(), Namespace::kUts, pod.uts);
}

absl::Status MountSharedMemory(PodContext& context) {
  Pod& pod = context.pod;
  const std::string path = pod.shm_path();
  if (mkdir(path.c_str(), 0711) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "1777"));
  RETURN_IF_ERROR(
      tmpfs.Set("size", absl::StrCat(context.plan.shm_bytes()).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("uid", absl::StrCat(pod.root.uid).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("gid", absl::StrCat(pod.root.gid).c_str()));
  RETURN_IF_ERROR(tmpfs.SetContext(pod.file_context));
  ASSIGN_OR_RETURN(
      UniqueFd mount,
      tmpfs.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  const UniqueFd target(
      open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", path);
  }
  return kernel::AttachMount(mount.get(), target.get());
}

absl::Status ChargePod(PodContext& context) {
  for (const uint32_t position : context.plan.keeper_tasks_fds()) {
    // "0" is the writer: no other process can be meant, and the kernel need
    // not look for it, which takes it 10 ms.
    if (write(context.fds.Borrow(position), "0", 1) != 1) {
      return ErrnoError("enter", "controller of the pod");
    }
  }
  return absl::OkStatus();
}

constexpr Step<PodContext> kPodSteps[] = {
    {"record-pod", RecordPlan},
    // A process of the pod's own host ids makes the namespaces, so that the
    // kernel counts them against the pod and not against root.
    {"make-namespaces", StartHolder},
    {"write-id-maps", WriteIdMaps},
    // Inside: hostname, loopback interface, sysctls.
    {"configure-namespaces", ConfigureNamespaces},
    {"hold-namespaces", HoldNamespaces},
    // Late, for it stays behind on failure of a later step.
    {"mount-shared-memory", MountSharedMemory},
    // Last, for there is no way back.  Logs and execs take time that the
    // keeper spends and the pod causes.
    {"charge-pod", ChargePod},
};

}  // namespace

uint32_t HostId(const google::protobuf::RepeatedPtrField<v1::IdExtent>& map,
                uint32_t id) {
  if (map.empty()) {
    return id;
  }
  constexpr uint32_t kOverflowId = 65534;
  for (const v1::IdExtent& extent : map) {
    if (id >= extent.container_id() &&
        id - extent.container_id() < extent.length()) {
      return extent.host_id() + (id - extent.container_id());
    }
  }
  return kOverflowId;
}

absl::Status CreatePod(const v1::PodPlan& plan, Pod& pod, StepTimes& times,
                       std::string& failed, RequestFds& fds, Reaper& reaper) {
  PodContext context{plan, pod, times, failed, fds, NamespaceHolder(reaper)};
  absl::Status status = RunSteps<PodContext>(kPodSteps, context);
  if (!status.ok()) {
    DestroyPod(pod);
    pod = Pod();
  }
  return status;
}

StepNames PodStepNames() {
  StepNames names;
  AppendNames<PodContext>(kPodSteps, names);
  return names;
}

void DestroyPod(Pod& pod) {
  if (pod.mount_directory.empty()) {
    return;
  }
  // EINVAL: nothing is mounted there.
  const std::string path = pod.shm_path();
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 &&
      errno != EINVAL && errno != ENOENT) {
    LogWarning(ErrnoError("unmount", path).ToString());
  }
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    LogWarning(ErrnoError("remove directory", path).ToString());
  }
}

}  // namespace caisson::keeper
