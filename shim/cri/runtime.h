#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/cri/v1/api.pb.h"
#include "runtime/base/rollback.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/device/registry.h"
#include "runtime/identity/id_pool.h"
#include "runtime/image/image_store.h"
#include "runtime/network/cni.h"
#include "runtime/pod/keeper.h"
#include "runtime/seccomp/profile.h"
#include "shim/config/config.h"
#include "shim/cri/objects.h"
#include "shim/cri/selinux.h"
#include "shim/plan/container.h"
#include "shim/plan/pod.h"
#include "shim/store/store.h"

namespace caisson::cri {

namespace v1 = ::runtime::v1;

// The daemon's pods and containers: what the RPCs of the CRI's RuntimeService
// do.  One file an RPC group.  All calls from any thread; those of one pod
// that change it run one after the other.  Errors are as the CRI wants them.
class Runtime {
 public:
  struct Parts {
    config::Config config;
    cgroup::Layout layout;
    identity::IdPool pool;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<image::ImageStore> images;
    std::unique_ptr<network::Cni> cni;
    std::unique_ptr<device::Registry> devices;
    std::unique_ptr<seccomp::Compiler> seccomp;
    std::unique_ptr<pod::KeeperFactory> keepers;
    // Program of containers without devices of their own.
    UniqueFd device_filter;
    plan::Selinux selinux;
    // What each CPU has, found at the start.
    std::vector<std::string> thermal_throttle;
  };

  // Without keepers yet: cgroups point to the layout in here.
  explicit Runtime(Parts parts) : parts_(std::move(parts)) {}

  // daemon.cc: starts the fork server from `program`; once.
  absl::Status StartKeepers(const std::string& program);

  // recovery.cc: takes up what an earlier daemon left; once, at the start.
  absl::Status Recover();

  // pod_run.cc
  absl::StatusOr<std::string> RunPod(const v1::RunPodSandboxRequest& request);
  // pod_stop.cc: idempotent; OK for an unknown pod.
  absl::Status StopPod(const std::string& id);
  absl::Status RemovePod(const std::string& id);
  // pod_status.cc
  absl::Status PodStatus(const v1::PodSandboxStatusRequest& request,
                         v1::PodSandboxStatusResponse& response);
  void ListPods(const v1::PodSandboxFilter& filter,
                v1::ListPodSandboxResponse& response);

  // container_create.cc
  absl::StatusOr<std::string> CreateContainer(
      const v1::CreateContainerRequest& request);
  // container_life.cc
  absl::Status StartContainer(const std::string& id);
  absl::Status StopContainer(const std::string& id, absl::Duration timeout);
  absl::Status RemoveContainer(const std::string& id);
  absl::Status ReopenLog(const std::string& id);
  // container_status.cc
  absl::Status ContainerStatus(const v1::ContainerStatusRequest& request,
                               v1::ContainerStatusResponse& response);
  void ListContainers(const v1::ContainerFilter& filter,
                      v1::ListContainersResponse& response);

  // container_stats.cc: of running containers, read from their cgroups now.
  absl::Status ContainerStats(const v1::ContainerStatsRequest& request,
                              v1::ContainerStatsResponse& response);
  void ListContainerStats(const v1::ContainerStatsFilter& filter,
                          v1::ListContainerStatsResponse& response);

  // container_update.cc: all that the request changes, or nothing.
  absl::Status UpdateContainer(
      const v1::UpdateContainerResourcesRequest& request);
  absl::Status UpdatePod(const v1::UpdatePodSandboxResourcesRequest& request);

  // exec_sync.cc
  absl::Status ExecSync(const v1::ExecSyncRequest& request,
                        v1::ExecSyncResponse& response);

  // runtime_status.cc
  void Status(v1::StatusResponse& response);

  image::ImageStore& images() { return *parts_.images; }

  const config::Config& config() const { return parts_.config; }

 private:
  using SandboxPtr = std::shared_ptr<Sandbox>;
  using ContainerPtr = std::shared_ptr<Container>;

  // Look-ups by id or unique prefix of one; NotFound.
  absl::StatusOr<SandboxPtr> FindPod(const std::string& id);
  absl::StatusOr<ContainerPtr> FindContainer(const std::string& id);
  std::vector<ContainerPtr> ContainersOf(const std::string& pod_id);
  // FailedPrecondition when the pod is stopped.
  absl::StatusOr<std::shared_ptr<pod::Keeper>> KeeperOf(Sandbox& pod);

  // The name of the pod's handler, which is the default when it names none.
  const std::string& HandlerOf(const Sandbox& pod) const {
    return pod.handler.empty() ? parts_.config.default_handler : pod.handler;
  }

  // Paths of a pod and of a container.
  std::string PodDirectory(const std::string& pod_id) const;
  std::string ContainerDirectory(const std::string& id) const;
  std::string KeeperSocket(const std::string& pod_id) const;

  // pod_run.cc
  absl::Status LeaseIds(const plan::PodDecision& decision, Sandbox& pod);
  // Its level, where SELinux is enabled, and the context of what it shares.
  absl::Status ChooseSelinux(plan::PodDecision& decision, Sandbox& pod);
  absl::Status MakePodFiles(const plan::PodDecision& decision,
                            const Sandbox& pod);
  absl::Status StartKeeper(plan::PodDecision decision, const SandboxPtr& pod,
                           Rollback& rollback);
  absl::Status AttachNetwork(const plan::PodDecision& decision,
                             const SandboxPtr& pod, UniqueFd network,
                             Rollback& rollback);
  pod::Keeper::Options KeeperOptions(const SandboxPtr& pod);

  // pod_stop.cc
  absl::Status DetachNetwork(Sandbox& pod);
  absl::Status EndKeeper(Sandbox& pod);
  network::Attachment AttachmentOf(const Sandbox& pod) const;
  absl::Status RemovePodCgroup(const Sandbox& pod);

  // container_create.cc
  absl::StatusOr<std::string> FindSame(Sandbox& pod,
                                       const v1::ContainerConfig& config);
  absl::Status BuildContainer(const v1::CreateContainerRequest& request,
                              const SandboxPtr& pod, const ContainerPtr& it,
                              Rollback& rollback);
  absl::StatusOr<plan::ContainerDecision> Decide(
      const v1::CreateContainerRequest& request, const Sandbox& pod,
      const image::Image& image);
  // What the plan speaks of: directories, layers, cgroup, log.
  absl::Status MakeParts(const Sandbox& pod, const Container& it,
                         const plan::ContainerDecision& decision,
                         Rollback& rollback,
                         pod::WithFds<keeper::v1::ContainerPlan>& plan);
  absl::Status CompileSeccomp(plan::ContainerDecision& decision);
  absl::Status FreeContainer(Container& container);

  // container_stats.cc: under the container's mutex.
  void FillStats(Container& container, v1::ContainerStats& stats);

  // container_update.cc: makes the pod's cgroup with its limits, if it is ours.
  // container_images.cc: volumes that are images.  Puts ids in the place of
  // names and notes them in the record; NotFound for one that isn't here.
  absl::Status FindImageVolumes(keeper::v1::ContainerPlan& plan,
                                state::v1::ContainerRecord& record);
  // Mounts their layers on the host and tells the plan where.
  absl::Status MountImageVolumes(keeper::v1::ContainerPlan& plan);
  // The container's own image and those: none is removed while it is held.
  void HoldImages(const state::v1::ContainerRecord& record);
  void ReleaseImages(const state::v1::ContainerRecord& record);
  // container_devices.cc: lets `group` open its plan's devices and no other,
  // and tells the plan what the host's nodes are; InvalidArgument or NotFound
  // for what is no device.
  absl::Status GuardDevices(keeper::v1::ContainerPlan& plan,
                            const cgroup::Cgroup& group);
  // container_cdi.cc: what the CDI devices of `config` bring, with the host's
  // nodes found; FailedPrecondition or InvalidArgument.
  absl::StatusOr<device::Edits> FindCdiDevices(
      const v1::ContainerConfig& config);
  // Runs those of the record's hooks that belong to `moment`, up to the first
  // that fails.
  absl::Status RunHooks(const Container& container, device::Moment moment);
  // The state that hooks of that moment read; empty for one without hooks.
  std::string HookStateOf(const Container& container,
                          device::Moment moment) const;
  // Those that the keeper runs, and the bundle for all.
  absl::Status PlanHooks(const Sandbox& pod, const Container& container,
                         keeper::v1::ContainerPlan& plan) const;
  // Those whose failure is only worth a warning.
  void RunLateHooks(const Container& container, device::Moment moment);
  absl::Status LimitPod(Sandbox& pod);
  // scopes.cc, under systemd: makes the pod's scope in `slice`, with the
  // process `holder` in it.  The scope goes with that, which goes with the
  // keeper.
  absl::Status StartPodScope(const std::string& slice, const Sandbox& pod,
                             int holder);

  // exec_sync.cc: the id of the new exec whose end `wait` hears of.
  std::string AddExec(std::shared_ptr<ExecWait> wait);
  // Path of the container's cgroup; FailedPrecondition unless it runs.
  absl::StatusOr<std::string> CheckRunning(Container& container);

  // container_life.cc
  absl::Status StartProgram(Container& container, Sandbox& pod);
  absl::Status EndContainer(Container& container, absl::Duration timeout);
  bool AwaitExit(Container& container, absl::Duration timeout);
  static void StopBy(Container& container, absl::Duration timeout);
  // Until its stop_by.
  static bool AwaitGracefulExit(Container& container);

  // Events of keepers, on their reader's thread.
  void OnExited(const SandboxPtr& pod, const keeper::v1::Exited& exited);
  void OnKeeperGone(const SandboxPtr& pod);
  void MarkExited(Container& container, int code, int64_t finished_at);

  // recovery.cc
  absl::Status RecoverPod(state::v1::PodRecord record, bool same_boot);
  void RecoverContainer(state::v1::ContainerRecord record);
  absl::Status Reconnect(const SandboxPtr& pod);

  Parts parts_;

  std::mutex mutex_;  // of the maps
  std::map<std::string, SandboxPtr> pods_;
  std::map<std::string, ContainerPtr> containers_;
  SelinuxLevels levels_;
  std::mutex leases_;  // from choosing a range to its record

  std::mutex exec_mutex_;
  std::map<std::string, std::shared_ptr<ExecWait>> execs_;
};

// /proc/sys/kernel/random/boot_id.
std::string BootId();

}  // namespace caisson::cri
