#include "shim/ops/create_container.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/device/hook_message.h"
#include "runtime/kernel/apparmor.h"
#include "runtime/kernel/hostname.h"
#include "runtime/seccomp/needs.h"
#include "shim/core/client_error.h"
#include "shim/ops/devices.h"
#include "shim/ops/image_volumes.h"
#include "shim/ops/pod_files.h"
#include "shim/ops/pod_ids.h"
#include "shim/ops/selinux.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

// Docker's own default has 15 KiB.
constexpr size_t kMaxProfileBytes = 1 << 20;

// What undoing may take, whatever the time of the request was.
constexpr absl::Duration kUndoTime = absl::Minutes(1);

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

void Describe(const plan::ContainerDecision& decision,
              const image::Image& image, ContainerRecord& record) {
  for (const device::Hook& hook : decision.hooks) {
    device::ToMessage(hook, *record.add_hooks());
  }
  record.set_image_id(image.id);
  record.set_image_ref(image.repo_digests.empty() ? image.id
                                                  : image.repo_digests[0]);
  record.set_log_path(decision.log_path);
  record.set_stop_signal(decision.stop_signal);
}

}  // namespace

absl::StatusOr<core::ContainerPtr> CreateContainer::Register(
    const v1::CreateContainerRequest& request, const core::PodFacts& pod,
    std::string* same) {
  core::ContainerFacts facts;
  facts.config = std::make_shared<const v1::ContainerConfig>(request.config());
  facts.record.set_id(GenerateId());
  facts.record.set_pod_id(pod.record.id());
  facts.record.set_created_at(NowNanos());
  // Whatever becomes of it, its end looks there.
  facts.record.set_cgroup(
      absl::StrCat(pod.record.cgroup(), "/", facts.record.id()));
  auto container = std::make_shared<core::Container>(std::move(facts));
  container->BeginCreation();
  core::ContainerPtr other;
  const absl::Status added = parts_.registry.Add(container, &other);
  if (added.ok()) {
    return container;
  }
  if (other->state() == ContainerRecord::CREATED) {
    *same = other->id();
    return other;
  }
  const v1::ContainerMetadata& metadata = request.config().metadata();
  return core::ForClient(absl::AlreadyExistsError(
      absl::StrCat("name it ", metadata.name(), " attempt ", metadata.attempt(),
                   ": ", added.message())));
}

absl::Status CreateContainer::CompileSeccomp(
    plan::ContainerDecision& decision) {
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
      parts_.seccomp.Compile(profile, process.capabilities().bounding()));
  return seccomp::CheckNeeds(process.seccomp_program(),
                             process.no_new_privileges());
}

absl::StatusOr<plan::ContainerDecision> CreateContainer::Plan(
    const v1::ContainerConfig& config, const core::PodFacts& pod,
    const image::Image& image) {
  const Node& node = parts_.node;
  ASSIGN_OR_RETURN(const identity::UserDatabase users,
                   parts_.images.Users(image.id));
  plan::ContainerInputs inputs{config, *pod.config, image.config, users,
                               node.config};
  const std::string& name = node.HandlerName(pod.record.handler());
  const auto handler = node.config.handlers.find(name);
  if (handler == node.config.handlers.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "find handler ", name, " of the pod: not configured any more"));
  }
  inputs.handler = handler->first;
  inputs.policy = handler->second;
  inputs.thermal_throttle = node.thermal_throttle;
  inputs.own_users = pod.record.uids_size() > 0;
  inputs.node_hostname = kernel::Hostname();
  inputs.pod_directory =
      PodFilesDirectory(parts_.paths.PodDirectory(pod.record.id()));
  inputs.apparmor.enabled = kernel::HasAppArmor();
  ASSIGN_OR_RETURN(inputs.apparmor.profiles, kernel::AppArmorProfiles());
  ASSIGN_OR_RETURN(inputs.edits, FindCdiDevices(parts_.devices, config));
  inputs.selinux = node.selinux;
  inputs.selinux_level = pod.record.selinux_level();
  return plan::PlanContainer(inputs);
}

absl::StatusOr<CreateContainer::Draft> CreateContainer::Decide(
    const v1::ContainerConfig& config, const core::PodFacts& pod) {
  Draft draft;
  absl::StatusOr<image::HeldImage> image =
      parts_.images.FindAndHold(config.image().image());
  RETURN_IF_ERROR(core::ForClient(image.status()));
  ASSIGN_OR_RETURN(draft.decision, Plan(config, pod, image->image()));
  RETURN_IF_ERROR(CheckContexts(draft.decision.plan));
  RETURN_IF_ERROR(CheckIds(draft.decision.ids, pod.record));
  RETURN_IF_ERROR(CompileSeccomp(draft.decision));
  absl::StatusOr<std::vector<image::HeldImage>> volumes =
      HoldImageVolumes(parts_.images, draft.decision.plan);
  RETURN_IF_ERROR(core::ForClient(volumes.status()));
  draft.images.push_back(std::move(image).value());
  for (image::HeldImage& volume : *volumes) {
    draft.images.push_back(std::move(volume));
  }
  return draft;
}

absl::Status CreateContainer::NoteDraft(Draft& draft,
                                        core::Container& container) {
  const auto note = [&](core::ContainerFacts& facts) {
    Describe(draft.decision, draft.images[0].image(), facts.record);
    // From here on the container holds them.
    facts.images_held = true;
    for (size_t i = 0; i < draft.images.size(); ++i) {
      std::string id = std::move(draft.images[i]).Keep();
      if (i > 0) {
        facts.record.add_volume_images(std::move(id));
      }
    }
  };
  // Hooks that ran are told of the end, also by another daemon; all else that
  // a creation leaves is found without a record.
  if (!draft.decision.hooks.empty()) {
    return parts_.transitions.Note(container, note);
  }
  parts_.transitions.NoteUnrecorded(container, note);
  return absl::OkStatus();
}

absl::Status CreateContainer::MakeProcess(plan::ContainerDecision& decision,
                                          const core::PodPtr& pod,
                                          core::Container& container,
                                          core::Operation& operation) {
  pod::WithFds<keeper::v1::ContainerPlan> plan;
  plan.message = std::move(decision.plan);
  plan.message.set_container_id(container.id());
  operation.Enter("make files and cgroup");
  RETURN_IF_ERROR(parts_.container_parts.Make(*pod->facts(), *container.facts(),
                                              decision, plan));
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper,
                   pod->UsableKeeper());
  // Whoever ended it meanwhile asked the keeper to forget it before there was
  // anything to forget.
  if (container.state() != ContainerRecord::CREATING) {
    return absl::AbortedError("make process: it was ended meanwhile");
  }
  operation.Enter("make process");
  ASSIGN_OR_RETURN(
      const keeper::v1::ContainerCreated created,
      keeper->CreateContainer(std::move(plan), operation.deadline()));
  parts_.transitions.NoteUnrecorded(
      container, [&](core::ContainerFacts& facts) {
        facts.record.set_pid(created.pid());
        facts.record.set_read_back(created.read_back().SerializeAsString());
        facts.steps = created.steps();
      });
  operation.Enter("run hooks");
  const core::ContainerFactsPtr facts = container.facts();
  RETURN_IF_ERROR(parts_.hooks.Run(*facts, device::Moment::kPrestart,
                                   operation.deadline()));
  return parts_.hooks.Run(*facts, device::Moment::kCreateRuntime,
                          operation.deadline());
}

absl::Status CreateContainer::Make(const v1::CreateContainerRequest& request,
                                   const core::PodPtr& pod,
                                   const core::ContainerPtr& container,
                                   core::Operation& operation) {
  // After it could be seen: whoever stops the pod sees it, or this sees that.
  RETURN_IF_ERROR(pod->UsableKeeper().status());
  operation.Enter("plan");
  const core::PodFactsPtr pod_facts = pod->facts();
  ASSIGN_OR_RETURN(Draft draft, Decide(request.config(), *pod_facts));
  RETURN_IF_ERROR(NoteDraft(draft, *container));
  RETURN_IF_ERROR(MakeProcess(draft.decision, pod, *container, operation));
  operation.Enter("record container");
  return parts_.transitions.Change(*container, ContainerRecord::CREATED,
                                   [](core::ContainerFacts&) {});
}

absl::StatusOr<std::string> CreateContainer::Run(
    const v1::CreateContainerRequest& request, const core::PodPtr& pod,
    core::Operation& operation) {
  std::string same;
  ASSIGN_OR_RETURN(const core::ContainerPtr container,
                   Register(request, *pod->facts(), &same));
  if (!same.empty()) {
    return same;
  }
  const absl::Status status = Make(request, pod, container, operation);
  container->EndCreation();
  if (status.ok()) {
    return container->id();
  }
  operation.Enter("undo");
  const absl::Status undone =
      parts_.ending.Remove(container, Deadline::After(kUndoTime));
  if (!undone.ok()) {
    // It ends with its pod.
    LogError(absl::StrCat("undo container ", container->id(), ": ",
                          undone.message()));
  }
  return status;
}

}  // namespace caisson::ops
