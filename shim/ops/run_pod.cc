#include "shim/ops/run_pod.h"

#include <google/protobuf/util/message_differencer.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/kernel/hostname.h"
#include "shim/core/client_error.h"
#include "shim/ops/pod_files.h"
#include "shim/ops/pod_limits.h"
#include "shim/ops/scopes.h"

namespace caisson::ops {
namespace {

using state::v1::PodRecord;

// What undoing may take, whatever the time of the request was.
constexpr absl::Duration kUndoTime = absl::Minutes(2);

// Under systemd the scope's own cgroup is systemd's to set; "pod" below it is
// ours, and beside it is that of the scope's holder.
void ChooseCgroup(const plan::PodDecision& decision, const std::string& parent,
                  PodRecord& record) {
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

// An empty directory for the pod's keeper alone.
std::string MountsOf(const std::string& pod_directory) {
  return pod_directory + "/mounts";
}

absl::Status MakeDirectories(const std::string& pod_directory) {
  for (const std::string& path : {pod_directory, MountsOf(pod_directory)}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError("create directory", path);
    }
  }
  return absl::OkStatus();
}

bool SameConfig(const v1::PodSandboxConfig& a, const v1::PodSandboxConfig& b) {
  // Maps have no order of their own in bytes.
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

}  // namespace

absl::StatusOr<core::PodPtr> RunPod::Register(
    const v1::RunPodSandboxRequest& request, const plan::PodDecision& decision,
    std::string* same) {
  core::PodFacts facts;
  facts.config = std::make_shared<const v1::PodSandboxConfig>(request.config());
  PodRecord& record = facts.record;
  record.set_id(GenerateId());
  record.set_handler(request.runtime_handler());
  record.set_created_at(NowNanos());
  record.set_boot_id(parts_.node.boot_id);
  ChooseCgroup(decision, parts_.node.config.cgroup.parent, record);
  auto pod = std::make_shared<core::Pod>(std::move(facts), parts_.events);
  core::PodPtr other;
  const absl::Status added = parts_.registry.Add(pod, &other);
  if (added.ok()) {
    return pod;
  }
  const core::PodFactsPtr theirs = other->facts();
  if (theirs->record.state() == PodRecord::READY &&
      theirs->record.handler() == request.runtime_handler() &&
      SameConfig(*theirs->config, request.config())) {
    *same = other->id();
    return other;
  }
  return core::ForClient(absl::AlreadyExistsError(absl::StrCat(
      "name it ", request.config().metadata().name(), " attempt ",
      request.config().metadata().attempt(), ": ", added.message())));
}

absl::Status RunPod::ChooseSelinux(plan::PodDecision& decision,
                                   PodRecord& record,
                                   const v1::PodSandboxConfig& config) {
  const plan::Selinux& selinux = parts_.node.selinux;
  if (!selinux.enabled) {
    return absl::OkStatus();
  }
  constexpr char kField[] = "config.linux.security_context.selinux_options";
  const v1::SELinuxOption& options =
      config.linux().security_context().selinux_options();
  ASSIGN_OR_RETURN(const std::string level,
                   parts_.levels.Take([&](int a, int b) {
                     return plan::PodLevel(selinux, options, a, b);
                   }));
  // Released with the pod, whatever follows.
  record.set_selinux_level(level);
  ASSIGN_OR_RETURN(
      const plan::SelinuxContexts contexts,
      plan::ChooseContexts(selinux, options, level, false, kField));
  // The process's as well: all of the pod's containers would have it.
  RETURN_IF_ERROR(CheckContext(contexts.process, kField).status());
  ASSIGN_OR_RETURN(const std::string file, CheckContext(contexts.file, kField));
  decision.plan.set_file_context(file);
  return absl::OkStatus();
}

absl::Status RunPod::TakeIds(plan::PodDecision& decision, core::Pod& pod) {
  const core::PodFactsPtr facts = pod.facts();
  PodRecord record = facts->record;
  const absl::Status chosen = ChooseSelinux(decision, record, *facts->config);
  record.set_config(facts->config->SerializeAsString());
  absl::Status status = chosen;
  if (status.ok()) {
    status = parts_.leases.Take(decision, record);
  }
  record.clear_config();
  parts_.transitions.NoteUnrecorded(
      pod, [&](core::PodFacts& now) { now.record = record; });
  return status;
}

absl::StatusOr<UniqueFd> RunPod::MakeNamespaces(plan::PodDecision& decision,
                                                const core::PodPtr& pod,
                                                core::Operation& operation) {
  operation.Enter("start keeper");
  ASSIGN_OR_RETURN(const pod::KeeperIdentity identity,
                   parts_.keepers.Start(pod, operation.deadline()));
  const core::PodFactsPtr facts = pod->facts();
  pod::WithFds<keeper::v1::PodPlan> plan;
  plan.message = std::move(decision.plan);
  plan.message.set_pod_id(pod->id());
  identity::IdMap::From(facts->record.uids())
      .CopyTo(plan.message.mutable_uids());
  identity::IdMap::From(facts->record.gids())
      .CopyTo(plan.message.mutable_gids());
  plan.message.set_mount_directory(
      MountsOf(parts_.paths.PodDirectory(pod->id())));
  plan.message.set_hold_scope(!decision.slice.empty());
  ASSIGN_OR_RETURN(UniqueFd listener,
                   pod::Keeper::Listen(parts_.paths.KeeperSocket(pod->id())));
  plan.message.set_listener_fd(plan.Attach(std::move(listener)));
  operation.Enter("make namespaces");
  ASSIGN_OR_RETURN(
      pod::Keeper::PodResult result,
      pod->keeper()->CreatePod(std::move(plan), operation.deadline()));
  parts_.transitions.NoteUnrecorded(*pod, [&](core::PodFacts& now) {
    now.record.set_keeper_pid(identity.pid);
    now.record.set_keeper_start_ticks(identity.start_ticks);
    now.steps = result.created.steps();
  });
  if (!decision.slice.empty()) {
    operation.Enter("start scope");
    RETURN_IF_ERROR(StartPodScope(parts_.node, decision.slice, *pod->facts(),
                                  result.created.scope_holder_pid(),
                                  operation.deadline()));
  }
  return std::move(result.network);
}

absl::Status RunPod::Attach(const plan::PodDecision& decision, core::Pod& pod,
                            UniqueFd network, core::Operation& operation) {
  operation.Enter("attach network");
  RETURN_IF_ERROR(
      parts_.network.Attach(pod, std::move(network), operation.deadline()));
  if (decision.network_sysctls.empty()) {
    return absl::OkStatus();
  }
  operation.Enter("write network sysctls");
  keeper::v1::WriteSysctls call;
  call.mutable_sysctls()->insert(decision.network_sysctls.begin(),
                                 decision.network_sysctls.end());
  return pod.keeper()->WriteSysctls(call, operation.deadline());
}

absl::Status RunPod::Make(plan::PodDecision decision, const core::PodPtr& pod,
                          core::Operation& operation) {
  operation.Enter("make files");
  RETURN_IF_ERROR(MakeDirectories(parts_.paths.PodDirectory(pod->id())));
  RETURN_IF_ERROR(MakePodFiles(parts_.paths.PodDirectory(pod->id()),
                               DescribePodFiles(decision)));
  const bool own_network = decision.plan.own_network();
  ASSIGN_OR_RETURN(UniqueFd network, MakeNamespaces(decision, pod, operation));
  operation.Enter("limit pod");
  RETURN_IF_ERROR(LimitPod(parts_.node, *pod->facts()));
  if (own_network) {
    RETURN_IF_ERROR(Attach(decision, *pod, std::move(network), operation));
  }
  operation.Enter("record pod");
  return parts_.transitions.Change(*pod, PodRecord::READY,
                                   [](core::PodFacts&) {});
}

void RunPod::Undo(const core::PodPtr& pod) {
  const absl::Status undone =
      parts_.ending.Remove(pod, Deadline::After(kUndoTime));
  if (!undone.ok()) {
    LogWarning(absl::StrCat("undo pod sandbox ", pod->id(), ": ",
                            undone.message(), ": it will be tried again"));
    // Nobody waits for it: it goes by itself once it can.
    parts_.detach_queue.Add(pod, DetachQueue::Then::kRemove);
  }
}

absl::StatusOr<std::string> RunPod::Run(const v1::RunPodSandboxRequest& request,
                                        core::Operation& operation) {
  operation.Enter("plan");
  absl::StatusOr<plan::PodDecision> planned = plan::PlanPod(
      request, parts_.node.config, parts_.node.selinux, kernel::Hostname());
  RETURN_IF_ERROR(core::ForClient(planned.status()));
  plan::PodDecision& decision = *planned;
  if (decision.plan.own_network()) {
    const absl::Status ready = parts_.cni.CheckReady();
    if (!ready.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat("network: ", ready.message()));
    }
  }
  std::string same;
  ASSIGN_OR_RETURN(const core::PodPtr pod, Register(request, decision, &same));
  if (!same.empty()) {
    return same;
  }
  operation.Enter("lease ids");
  absl::Status status = TakeIds(decision, *pod);
  if (!status.ok()) {
    // Without a record there is nothing to undo but this.
    parts_.levels.Release(pod->facts()->record.selinux_level());
    parts_.registry.Remove(*pod);
    return status;
  }
  status = Make(std::move(decision), pod, operation);
  if (!status.ok()) {
    operation.Enter("undo");
    Undo(pod);
    return status;
  }
  return pod->id();
}

}  // namespace caisson::ops
