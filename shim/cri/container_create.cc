#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/read_file.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/rollback.h"
#include "runtime/base/status.h"
#include "runtime/device/hook_message.h"
#include "runtime/identity/id_map.h"
#include "runtime/kernel/apparmor.h"
#include "runtime/kernel/hostname.h"
#include "runtime/seccomp/needs.h"
#include "shim/cri/cgroup_fds.h"
#include "shim/cri/log_file.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"
#include "shim/ops/pod_files.h"

namespace caisson::cri {
namespace {

using state::v1::ContainerRecord;

// Docker's own default has 15 KiB.
constexpr size_t kMaxProfileBytes = 1 << 20;

std::vector<identity::IdExtent> MapOf(
    const google::protobuf::RepeatedPtrField<state::v1::IdExtent>& from) {
  std::vector<identity::IdExtent> map;
  for (const state::v1::IdExtent& extent : from) {
    map.push_back({extent.container_id(), extent.host_id(), extent.length()});
  }
  return map;
}

// Ids that the pod's map has no host id for would be nobody's.
absl::Status CheckIds(const std::vector<uint32_t>& ids, const Sandbox& pod) {
  if (pod.record.uids_size() == 0) {
    return absl::OkStatus();
  }
  const std::vector<identity::IdExtent> map = MapOf(pod.record.uids());
  for (const uint32_t id : ids) {
    if (!identity::ToHost(map, id).ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "check user and groups: id ", id,
          " is outside of the pod's range; name it in the pod's security "
          "context, or use a handler with the policy \"requested\""));
    }
  }
  return absl::OkStatus();
}

absl::Status MakeOwned(const std::string& path, uid_t owner) {
  if (mkdir(path.c_str(), 0755) != 0 ||
      chown(path.c_str(), owner, owner) != 0) {
    return ErrnoError("create directory", path);
  }
  return absl::OkStatus();
}

// The container's directory, with those of its overlay.
absl::Status MakeHome(const std::string& home, uid_t owner) {
  if (mkdir(home.c_str(), 0700) != 0) {
    return ErrnoError("create directory", home);
  }
  RETURN_IF_ERROR(MakeOwned(home + "/upper", owner));
  return MakeOwned(home + "/work", owner);
}

// As the kernel will say that they are.
absl::Status CheckContexts(keeper::v1::ContainerPlan& plan) {
  constexpr char kField[] = "config.linux.security_context.selinux_options";
  if (plan.file_context().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(*plan.mutable_process()->mutable_selinux_context(),
                   CheckContext(plan.process().selinux_context(), kField));
  ASSIGN_OR_RETURN(const std::string file,
                   CheckContext(plan.file_context(), kField));
  plan.set_file_context(file);
  for (keeper::v1::Mount& mount : *plan.mutable_mounts()) {
    if (!mount.file_context().empty()) {
      mount.set_file_context(file);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uid_t> RootOf(const state::v1::PodRecord& pod) {
  return pod.uids_size() == 0 ? absl::StatusOr<uid_t>(0)
                              : identity::ToHost(MapOf(pod.uids()), 0);
}

void Describe(const plan::ContainerDecision& decision,
              const image::Image& image, const state::v1::PodRecord& pod,
              ContainerRecord& record) {
  for (const device::Hook& hook : decision.hooks) {
    device::ToMessage(hook, *record.add_hooks());
  }
  record.set_image_id(image.id);
  record.set_image_ref(image.repo_digests.empty() ? image.id
                                                  : image.repo_digests[0]);
  record.set_log_path(decision.log_path);
  record.set_stop_signal(decision.stop_signal);
  record.set_cgroup(absl::StrCat(pod.cgroup(), "/", record.id()));
}

absl::StatusOr<cgroup::Cgroup> MakeCgroup(const cgroup::Layout& layout,
                                          const std::string& path,
                                          const cgroup::Limits& limits,
                                          Rollback& rollback) {
  ASSIGN_OR_RETURN(cgroup::Cgroup group, cgroup::Cgroup::Create(layout, path));
  rollback.Add("cgroup", [&layout, path]() -> absl::Status {
    ASSIGN_OR_RETURN(const cgroup::Cgroup left,
                     cgroup::Cgroup::Open(layout, path));
    return left.Destroy();
  });
  RETURN_IF_ERROR(group.Apply(limits));
  return group;
}

}  // namespace

absl::Status Runtime::CompileSeccomp(plan::ContainerDecision& decision) {
  if (decision.seccomp == plan::Seccomp::kUnconfined) {
    return absl::OkStatus();
  }
  std::string profile(seccomp::DefaultProfile());
  if (decision.seccomp == plan::Seccomp::kLocalhost) {
    // Who names it may mean a file that never ends, or one that waits for a
    // writer.
    absl::StatusOr<std::string> text =
        ReadRegularFile(decision.seccomp_path, kMaxProfileBytes);
    if (!text.ok() || text->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "seccomp profile: ", text.ok()
                                   ? decision.seccomp_path + ": empty"
                                   : std::string(text.status().message())));
    }
    profile = std::move(text).value();
  }
  keeper::v1::Process& process = *decision.plan.mutable_process();
  ASSIGN_OR_RETURN(
      *process.mutable_seccomp_program(),
      parts_.seccomp->Compile(profile, process.capabilities().bounding()));
  return seccomp::CheckNeeds(process.seccomp_program(),
                             process.no_new_privileges());
}

absl::StatusOr<std::string> Runtime::FindSame(
    Sandbox& pod, const v1::ContainerConfig& config) {
  for (const ContainerPtr& container : ContainersOf(pod.id)) {
    const v1::ContainerMetadata& metadata = container->config.metadata();
    if (metadata.name() != config.metadata().name() ||
        metadata.attempt() != config.metadata().attempt()) {
      continue;
    }
    const std::lock_guard<std::mutex> lock(container->mutex);
    if (container->record.state() == ContainerRecord::CREATED) {
      return container->id;
    }
    return absl::AlreadyExistsError(
        absl::StrCat("create container ", metadata.name(), " attempt ",
                     metadata.attempt(), ": it is ", container->id));
  }
  return std::string();
}

absl::StatusOr<plan::ContainerDecision> Runtime::Decide(
    const v1::CreateContainerRequest& request, const Sandbox& pod,
    const image::Image& image) {
  ASSIGN_OR_RETURN(const identity::UserDatabase users,
                   parts_.images->Users(image.id));
  plan::ContainerInputs inputs{request.config(), pod.config, image.config,
                               users, parts_.config};
  const auto handler = parts_.config.handlers.find(HandlerOf(pod));
  if (handler == parts_.config.handlers.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("find handler ", HandlerOf(pod),
                     " of the pod: not configured any more"));
  }
  inputs.handler = handler->first;
  inputs.policy = handler->second;
  inputs.thermal_throttle = parts_.thermal_throttle;
  inputs.node_hostname = kernel::Hostname();
  inputs.own_users = pod.record.uids_size() > 0;
  inputs.pod_directory = ops::PodFilesDirectory(PodDirectory(pod.id));
  inputs.apparmor.enabled = kernel::HasAppArmor();
  ASSIGN_OR_RETURN(inputs.apparmor.profiles, kernel::AppArmorProfiles());
  ASSIGN_OR_RETURN(inputs.edits, FindCdiDevices(request.config()));
  inputs.selinux = parts_.selinux;
  inputs.selinux_level = pod.record.selinux_level();
  ASSIGN_OR_RETURN(plan::ContainerDecision decision,
                   plan::PlanContainer(inputs));
  RETURN_IF_ERROR(CheckContexts(decision.plan));
  RETURN_IF_ERROR(CheckIds(decision.ids, pod));
  RETURN_IF_ERROR(CompileSeccomp(decision));
  return decision;
}

absl::Status Runtime::MakeParts(const Sandbox& pod, const Container& it,
                                const plan::ContainerDecision& decision,
                                Rollback& rollback,
                                pod::WithFds<keeper::v1::ContainerPlan>& plan) {
  RETURN_IF_ERROR(MountImageVolumes(plan.message));
  const std::string home = ContainerDirectory(it.id);
  ASSIGN_OR_RETURN(const uid_t owner, RootOf(pod.record));
  rollback.Add("root", [home] { return RemoveTree(home); });
  // The disk's directories and the cgroups' take 0.3 ms each.
  std::future<absl::Status> made =
      std::async(std::launch::async, MakeHome, home, owner);
  plan.message.set_home_directory(home);
  ASSIGN_OR_RETURN(const std::vector<std::string> layers,
                   parts_.images->MountLayers(it.record.image_id()));
  plan.message.mutable_layers()->Assign(layers.begin(), layers.end());
  plan.message.add_layers(parts_.config.state + "/base");
  ASSIGN_OR_RETURN(
      const cgroup::Cgroup group,
      MakeCgroup(parts_.layout, it.record.cgroup(), decision.limits, rollback));
  RETURN_IF_ERROR(GuardDevices(plan.message, group));
  RETURN_IF_ERROR(AttachCgroup(group, group, plan));
  if (!decision.log_path.empty()) {
    ASSIGN_OR_RETURN(UniqueFd log, OpenLogFile(decision.log_path));
    plan.message.set_log_fd(plan.Attach(std::move(log)));
  }
  RETURN_IF_ERROR(made.get());
  return PlanHooks(pod, it, plan.message);
}

absl::Status Runtime::BuildContainer(const v1::CreateContainerRequest& request,
                                     const SandboxPtr& pod,
                                     const ContainerPtr& it,
                                     Rollback& rollback) {
  ASSIGN_OR_RETURN(const image::Image image,
                   parts_.images->Find(request.config().image().image()));
  ASSIGN_OR_RETURN(plan::ContainerDecision decision,
                   Decide(request, *pod, image));
  ContainerRecord& record = it->record;
  Describe(decision, image, pod->record, record);
  RETURN_IF_ERROR(FindImageVolumes(decision.plan, record));
  // The intent first.
  RETURN_IF_ERROR(parts_.store->PutContainer(record));
  rollback.Add("record",
               [this, it] { return parts_.store->RemoveContainer(it->id); });
  HoldImages(record);
  rollback.Add("image", [this, it] {
    ReleaseImages(it->record);
    return absl::OkStatus();
  });
  pod::WithFds<keeper::v1::ContainerPlan> plan;
  plan.message = std::move(decision.plan);
  plan.message.set_container_id(it->id);
  // From here on a file that is not found is not what the client asked for.
  RETURN_IF_ERROR(FromWork(MakeParts(*pod, *it, decision, rollback, plan)));
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper, KeeperOf(*pod));
  // What ran before a failure is told of the end, after the processes are gone.
  rollback.Add("hooks", [this, it] {
    RunLateHooks(*it, device::Moment::kPoststop);
    return absl::OkStatus();
  });
  const absl::StatusOr<keeper::v1::ContainerCreated> created =
      keeper->CreateContainer(std::move(plan));
  RETURN_IF_ERROR(FromWork(created.status()));
  rollback.Add("processes",
               [keeper, it] { return keeper->RemoveContainer(it->id); });
  record.set_pid(created->pid());
  record.set_read_back(created->read_back().SerializeAsString());
  it->steps = created->steps();
  RETURN_IF_ERROR(FromWork(RunHooks(*it, device::Moment::kPrestart)));
  return FromWork(RunHooks(*it, device::Moment::kCreateRuntime));
}

absl::StatusOr<std::string> Runtime::CreateContainer(
    const v1::CreateContainerRequest& request) {
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(request.pod_sandbox_id()));
  const std::lock_guard<std::mutex> operation(pod->operation);
  RETURN_IF_ERROR(KeeperOf(*pod).status());
  ASSIGN_OR_RETURN(std::string same, FindSame(*pod, request.config()));
  if (!same.empty()) {
    return same;
  }
  auto it = std::make_shared<Container>();
  it->id = GenerateId();
  it->pod_id = pod->id;
  it->config = request.config();
  ContainerRecord& record = it->record;
  record.set_id(it->id);
  record.set_pod_id(pod->id);
  record.set_config(request.config().SerializeAsString());
  record.set_created_at(NowNanos());
  const std::string what =
      absl::StrCat("create container ", it->config.metadata().name());
  // Found by its exit's event from here on.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    containers_[it->id] = it;
  }
  Rollback rollback;
  rollback.Add("entry", [this, it] {
    const std::lock_guard<std::mutex> lock(mutex_);
    containers_.erase(it->id);
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(Annotate(BuildContainer(request, pod, it, rollback), what));
  {
    const std::lock_guard<std::mutex> lock(it->mutex);
    if (record.state() == ContainerRecord::CREATING) {
      record.set_state(ContainerRecord::CREATED);
    }
    RETURN_IF_ERROR(parts_.store->PutContainer(record));
  }
  rollback.Commit();
  return it->id;
}

}  // namespace caisson::cri
