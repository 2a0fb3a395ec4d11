#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/rollback.h"
#include "runtime/base/status.h"
#include "runtime/kernel/hostname.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"
#include "shim/ops/pod_files.h"

namespace caisson::cri {
namespace {

void SetExtents(const std::vector<identity::IdExtent>& from,
                google::protobuf::RepeatedPtrField<state::v1::IdExtent>& to) {
  to.Clear();
  for (const identity::IdExtent& extent : from) {
    state::v1::IdExtent& line = *to.Add();
    line.set_container_id(extent.container_id);
    line.set_host_id(extent.host_id);
    line.set_length(extent.length);
  }
}

void CopyExtents(
    const google::protobuf::RepeatedPtrField<state::v1::IdExtent>& from,
    google::protobuf::RepeatedPtrField<keeper::v1::IdExtent>& to) {
  for (const state::v1::IdExtent& extent : from) {
    keeper::v1::IdExtent& line = *to.Add();
    line.set_container_id(extent.container_id());
    line.set_host_id(extent.host_id());
    line.set_length(extent.length());
  }
}

// Under systemd the scope's own cgroup is systemd's to set; "pod" below it is
// ours, and beside it is that of the scope's holder.
void ChooseCgroup(const plan::PodDecision& decision, const std::string& parent,
                  state::v1::PodRecord& record) {
  if (!decision.slice.empty()) {
    record.set_scope(absl::StrCat("caisson-", record.id(), ".scope"));
    record.set_cgroup(absl::StrCat(decision.cgroup_parent,
                                   decision.cgroup_parent.empty() ? "" : "/",
                                   record.scope(), "/pod"));
    record.set_owns_cgroup(true);
    return;
  }
  record.set_owns_cgroup(decision.cgroup_parent.empty());
  record.set_cgroup(decision.cgroup_parent.empty()
                        ? absl::StrCat(parent, "/", record.id())
                        : decision.cgroup_parent);
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Runtime::LeaseIds(const plan::PodDecision& decision,
                               Sandbox& pod) {
  std::vector<store::Lease> leases;
  // From the choice of a free range to its record nobody else may choose.
  const std::lock_guard<std::mutex> lock(leases_);
  if (decision.users == plan::UserNamespace::kGiven) {
    SetExtents(decision.given_uids, *pod.record.mutable_uids());
    SetExtents(decision.given_gids, *pod.record.mutable_gids());
    for (const identity::IdExtent& extent : decision.given_uids) {
      leases.push_back({extent.host_id, extent.length});
    }
  }
  if (decision.users == plan::UserNamespace::kLeased) {
    ASSIGN_OR_RETURN(const std::vector<store::Lease> taken,
                     parts_.store->Leases());
    std::vector<identity::IdExtent> used;
    for (const store::Lease& lease : taken) {
      used.push_back({0, lease.start, lease.length});
    }
    ASSIGN_OR_RETURN(const uint32_t slot,
                     identity::FindFreeSlot(parts_.pool, used));
    const uint32_t start = parts_.pool.Start(slot);
    leases.push_back({start, identity::kSlotLength});
    uint32_t extra_start = 0;
    if (!decision.extra_ids.empty()) {
      used.push_back({0, start, identity::kSlotLength});
      ASSIGN_OR_RETURN(const uint32_t extra,
                       identity::FindFreeSlot(parts_.pool, used));
      extra_start = parts_.pool.Start(extra);
      leases.push_back({extra_start, identity::kSlotLength});
    }
    ASSIGN_OR_RETURN(const std::vector<identity::IdExtent> map,
                     identity::MakeMap(start, decision.extra_ids, extra_start));
    SetExtents(map, *pod.record.mutable_uids());
    SetExtents(map, *pod.record.mutable_gids());
  }
  absl::Status status = parts_.store->AddPod(pod.record, leases);
  if (absl::IsAlreadyExists(status)) {
    return absl::FailedPreconditionError(status.message());
  }
  return status;
}

absl::Status Runtime::ChooseSelinux(plan::PodDecision& decision, Sandbox& pod) {
  if (!parts_.selinux.enabled) {
    return absl::OkStatus();
  }
  constexpr char kField[] = "config.linux.security_context.selinux_options";
  const v1::SELinuxOption& options =
      pod.config.linux().security_context().selinux_options();
  ASSIGN_OR_RETURN(const std::string level, levels_.Take([&](int a, int b) {
    return plan::PodLevel(parts_.selinux, options, a, b);
  }));
  pod.record.set_selinux_level(level);
  ASSIGN_OR_RETURN(
      const plan::SelinuxContexts contexts,
      plan::ChooseContexts(parts_.selinux, options, level, false, kField));
  // The process's as well: all of the pod's containers would have it.
  RETURN_IF_ERROR(CheckContext(contexts.process, kField).status());
  ASSIGN_OR_RETURN(const std::string file, CheckContext(contexts.file, kField));
  decision.plan.set_file_context(file);
  return absl::OkStatus();
}

absl::Status Runtime::MakePodFiles(const plan::PodDecision& decision,
                                   const Sandbox& pod) {
  const std::string directory = PodDirectory(pod.id);
  RETURN_IF_ERROR(MakeDirectory(directory, 0700));
  RETURN_IF_ERROR(MakeDirectory(directory + "/mounts", 0700));
  return ops::MakePodFiles(directory, ops::DescribePodFiles(decision));
}

std::shared_ptr<pod::Keeper> Runtime::AdoptKeeper(const SandboxPtr& pod,
                                                  UniqueFd socket) {
  // Weak: the pod owns the keeper.
  const std::weak_ptr<Sandbox> weak = pod;
  return pod::Keeper::Adopt(
      std::move(socket),
      [this, weak](const keeper::v1::Exited& exited) {
        if (const SandboxPtr it = weak.lock(); it != nullptr) {
          OnExited(it, exited);
        }
      },
      [this, weak] {
        if (const SandboxPtr it = weak.lock(); it != nullptr) {
          OnKeeperGone(it);
        }
      });
}

absl::Status Runtime::StartKeeper(plan::PodDecision decision,
                                  const SandboxPtr& pod, Rollback& rollback) {
  ASSIGN_OR_RETURN(pod::KeeperFactory::NewKeeper fresh, parts_.keepers->Fork());
  pod->record.set_keeper_pid(fresh.pid);
  const std::shared_ptr<pod::Keeper> keeper =
      AdoptKeeper(pod, std::move(fresh.socket));
  {
    const std::lock_guard<std::mutex> lock(pod->mutex);
    pod->keeper = keeper;
  }
  rollback.Add("keeper", [this, pod] { return EndKeeper(*pod); });
  pod::WithFds<keeper::v1::PodPlan> plan;
  plan.message = std::move(decision.plan);
  plan.message.set_pod_id(pod->id);
  CopyExtents(pod->record.uids(), *plan.message.mutable_uids());
  CopyExtents(pod->record.gids(), *plan.message.mutable_gids());
  plan.message.set_mount_directory(PodDirectory(pod->id) + "/mounts");
  plan.message.set_hold_scope(!decision.slice.empty());
  ASSIGN_OR_RETURN(UniqueFd listener,
                   pod::Keeper::Listen(pod->record.keeper_socket()));
  plan.message.set_listener_fd(plan.Attach(std::move(listener)));
  const bool own_network = plan.message.own_network();
  ASSIGN_OR_RETURN(pod::Keeper::PodResult result,
                   keeper->CreatePod(std::move(plan)));
  pod->steps = result.created.steps();
  if (!decision.slice.empty()) {
    RETURN_IF_ERROR(
        StartPodScope(decision.slice, *pod, result.created.scope_holder_pid()));
  }
  RETURN_IF_ERROR(LimitPod(*pod));
  if (!own_network) {
    return absl::OkStatus();
  }
  return AttachNetwork(decision, pod, std::move(result.network), rollback);
}

absl::Status Runtime::AttachNetwork(const plan::PodDecision& decision,
                                    const SandboxPtr& pod, UniqueFd network,
                                    Rollback& rollback) {
  if (!decision.network_sysctls.empty()) {
    // Better than to leave them out without a word.
    return absl::UnimplementedError(
        absl::StrCat("sysctl ", decision.network_sysctls.begin()->first,
                     ": those of an interface can't be written yet"));
  }
  const std::string path =
      absl::StrCat(parts_.config.state, "/netns/", pod->id);
  // The intent first: a crash from here on leaves something to undo.
  pod->record.set_netns_path(path);
  pod->record.set_network_attached(true);
  RETURN_IF_ERROR(parts_.store->UpdatePod(pod->record));
  rollback.Add("network", [this, pod] { return DetachNetwork(*pod); });
  RETURN_IF_ERROR(network::PinNamespace(network.get(), path));
  ASSIGN_OR_RETURN(const network::Addresses addresses,
                   parts_.cni->Add(AttachmentOf(*pod)));
  pod->record.mutable_ips()->Assign(addresses.ips.begin(), addresses.ips.end());
  return absl::OkStatus();
}

absl::StatusOr<std::string> Runtime::RunPod(
    const v1::RunPodSandboxRequest& request) {
  ASSIGN_OR_RETURN(plan::PodDecision decision,
                   plan::PlanPod(request, parts_.config, parts_.selinux,
                                 kernel::Hostname()));
  if (decision.plan.own_network()) {
    absl::Status ready = parts_.cni->CheckReady();
    if (!ready.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat("run pod sandbox: network: ", ready.message()));
    }
  }
  auto pod = std::make_shared<Sandbox>();
  pod->id = GenerateId();
  pod->handler = request.runtime_handler();
  pod->config = request.config();
  state::v1::PodRecord& record = pod->record;
  record.set_id(pod->id);
  record.set_config(request.config().SerializeAsString());
  record.set_handler(pod->handler);
  record.set_created_at(NowNanos());
  record.set_keeper_socket(KeeperSocket(pod->id));
  record.set_boot_id(BootId());
  ChooseCgroup(decision, parts_.config.cgroup.parent, record);
  const std::lock_guard<std::mutex> operation(pod->operation);
  Rollback rollback;
  RETURN_IF_ERROR(Annotate(ChooseSelinux(decision, *pod), "run pod sandbox"));
  rollback.Add("level", [this, pod] {
    levels_.Release(pod->record.selinux_level());
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(Annotate(LeaseIds(decision, *pod), "run pod sandbox"));
  rollback.Add("record",
               [this, pod] { return parts_.store->RemovePod(pod->id); });
  rollback.Add("directory", [this, pod] {
    return ops::RemovePodDirectory(PodDirectory(pod->id));
  });
  rollback.Add("cgroup", [this, pod] { return RemovePodCgroup(*pod); });
  absl::Status status = MakePodFiles(decision, *pod);
  if (status.ok()) {
    status = StartKeeper(std::move(decision), pod, rollback);
  }
  if (!status.ok()) {
    return Annotate(FromWork(status), "run pod sandbox");
  }
  {
    const std::lock_guard<std::mutex> lock(pod->mutex);
    record.set_state(state::v1::PodRecord::READY);
    RETURN_IF_ERROR(parts_.store->UpdatePod(record));
  }
  rollback.Commit();
  const std::lock_guard<std::mutex> lock(mutex_);
  pods_[pod->id] = pod;
  return pod->id;
}

}  // namespace caisson::cri
