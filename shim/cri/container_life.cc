#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/status.h"
#include "shim/cri/log_file.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"

namespace caisson::cri {
namespace {

using state::v1::ContainerRecord;

// Longer waits are as good as endless.
constexpr absl::Duration kLongest = absl::Hours(24 * 365);

// A killed process that does not end in this time hangs in the kernel.
constexpr absl::Duration kKillTimeout = absl::Seconds(30);

}  // namespace

absl::Status Runtime::StartContainer(const std::string& id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, FindContainer(id));
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(container->pod_id));
  const std::lock_guard<std::mutex> operation(container->operation);
  RETURN_IF_ERROR(StartProgram(*container, *pod));
  RunLateHooks(*container, device::Moment::kPoststart);
  return absl::OkStatus();
}

absl::Status Runtime::StartProgram(Container& container, Sandbox& pod) {
  {
    const std::lock_guard<std::mutex> lock(container.mutex);
    if (container.record.state() != ContainerRecord::CREATED) {
      return absl::FailedPreconditionError(
          absl::StrCat("start container ", container.id,
                       ": it was started before, or has ended"));
    }
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper, KeeperOf(pod));
  absl::StatusOr<keeper::v1::ContainerStarted> started = keeper->StartContainer(
      container.id, HookStateOf(container, device::Moment::kStartContainer),
      Deadline::After(absl::Hours(1)));
  const std::lock_guard<std::mutex> lock(container.mutex);
  ContainerRecord& record = container.record;
  if (!started.ok()) {
    record.set_reason("StartError");
    record.set_message(std::string(started.status().message()));
    RETURN_IF_ERROR(parts_.store->PutContainer(record));
    return Annotate(
        FromWork(started.status()),
        absl::StrCat("start container ", container.config.metadata().name()));
  }
  record.set_started_at(started->started_at());
  record.set_seccomp_mode(started->seccomp_mode());
  // Its end may have been heard of already.
  if (record.state() == ContainerRecord::CREATED) {
    record.set_state(ContainerRecord::RUNNING);
  }
  container.changed.notify_all();
  return parts_.store->PutContainer(record);
}

bool Runtime::AwaitExit(Container& container, absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(container.mutex);
  return container.changed.wait_for(
      lock, absl::ToChronoNanoseconds(timeout),
      [&] { return container.record.state() == ContainerRecord::EXITED; });
}

// A grace period is cut short by who asks for a shorter one, as the kubelet
// does for a pod that is deleted once more, by force.
void Runtime::StopBy(Container& container, absl::Duration timeout) {
  const std::lock_guard<std::mutex> lock(container.mutex);
  container.stop_by =
      std::min(container.stop_by,
               std::chrono::steady_clock::now() +
                   absl::ToChronoNanoseconds(std::min(timeout, kLongest)));
  container.changed.notify_all();
}

bool Runtime::AwaitGracefulExit(Container& container) {
  std::unique_lock<std::mutex> lock(container.mutex);
  while (container.record.state() != ContainerRecord::EXITED) {
    // A copy: it may be changed while this waits.
    const auto by = container.stop_by;
    if (std::chrono::steady_clock::now() >= by) {
      return false;
    }
    container.changed.wait_until(lock, by);
  }
  return true;
}

absl::Status Runtime::EndContainer(Container& container,
                                   absl::Duration timeout) {
  if (AwaitExit(container, absl::ZeroDuration())) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(container.pod_id));
  std::shared_ptr<pod::Keeper> keeper;
  {
    const std::lock_guard<std::mutex> lock(pod->mutex);
    keeper = pod->keeper;
  }
  if (keeper != nullptr && timeout > absl::ZeroDuration()) {
    const absl::Status sent =
        keeper->SignalContainer(container.id, container.record.stop_signal(),
                                Deadline::After(absl::Hours(1)));
    if (sent.ok() && AwaitGracefulExit(container)) {
      return absl::OkStatus();
    }
  }
  absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.layout, container.record.cgroup());
  if (group.ok()) {
    RETURN_IF_ERROR(group->Kill());
  }
  if (keeper == nullptr || !AwaitExit(container, kKillTimeout)) {
    if (keeper != nullptr) {
      return absl::DeadlineExceededError("killed, but it does not end");
    }
    MarkExited(container, 255, NowNanos());
  }
  return group.ok() ? group->WaitUntilEmpty(kKillTimeout) : absl::OkStatus();
}

absl::Status Runtime::StopContainer(const std::string& id,
                                    absl::Duration timeout) {
  const absl::StatusOr<ContainerPtr> container = FindContainer(id);
  if (!container.ok()) {
    // "Everything already gone is success."
    return absl::OkStatus();
  }
  StopBy(**container, timeout);
  const std::lock_guard<std::mutex> operation((*container)->operation);
  return Annotate(FromWork(EndContainer(**container, timeout)),
                  absl::StrCat("stop container ", id));
}

absl::Status Runtime::FreeContainer(Container& container) {
  const absl::StatusOr<SandboxPtr> pod = FindPod(container.pod_id);
  if (pod.ok()) {
    std::shared_ptr<pod::Keeper> keeper;
    {
      const std::lock_guard<std::mutex> lock((*pod)->mutex);
      keeper = (*pod)->keeper;
    }
    if (keeper != nullptr) {
      const absl::Status removed = keeper->RemoveContainer(
          container.id, Deadline::After(absl::Hours(1)));
      if (!removed.ok() && !absl::IsUnavailable(removed)) {
        return removed;
      }
    }
  }
  absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.layout, container.record.cgroup());
  if (group.ok()) {
    RETURN_IF_ERROR(group->Kill());
    RETURN_IF_ERROR(group->WaitUntilEmpty(kKillTimeout));
    RETURN_IF_ERROR(group->Destroy());
  }
  RunLateHooks(container, device::Moment::kPoststop);
  RETURN_IF_ERROR(RemoveTree(ContainerDirectory(container.id)));
  RETURN_IF_ERROR(parts_.store->RemoveContainer(container.id));
  ReleaseImages(container.record);
  return absl::OkStatus();
}

absl::Status Runtime::RemoveContainer(const std::string& id) {
  const absl::StatusOr<ContainerPtr> found = FindContainer(id);
  if (!found.ok()) {
    return absl::OkStatus();
  }
  Container& container = **found;
  StopBy(container, absl::ZeroDuration());
  const std::lock_guard<std::mutex> operation(container.operation);
  const std::string what = absl::StrCat("remove container ", container.id);
  RETURN_IF_ERROR(
      Annotate(FromWork(EndContainer(container, absl::ZeroDuration())), what));
  RETURN_IF_ERROR(Annotate(FromWork(FreeContainer(container)), what));
  const std::lock_guard<std::mutex> lock(mutex_);
  containers_.erase(container.id);
  return absl::OkStatus();
}

absl::Status Runtime::ReopenLog(const std::string& id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, FindContainer(id));
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(container->pod_id));
  {
    const std::lock_guard<std::mutex> lock(container->mutex);
    // Before any file is made: an error leaves none behind.
    if (container->record.state() != ContainerRecord::RUNNING) {
      return absl::FailedPreconditionError(absl::StrCat(
          "reopen log of container ", container->id, ": it does not run"));
    }
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper, KeeperOf(*pod));
  absl::StatusOr<UniqueFd> log = OpenLogFile(container->record.log_path());
  RETURN_IF_ERROR(FromWork(log.status()));
  return FromWork(keeper->ReopenLog(container->id, std::move(log).value(),
                                    Deadline::After(absl::Hours(1))));
}

void Runtime::MarkExited(Container& container, int code, int64_t finished_at) {
  uint64_t oom_kills = 0;
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.layout, container.record.cgroup());
  if (group.ok()) {
    oom_kills = group->OomKills().value_or(0);
    // What shares a PID namespace with others may outlive the first process.
    if (absl::Status killed = group->Kill(); !killed.ok()) {
      LogWarning(absl::StrCat("kill rest of container ", container.id, ": ",
                              killed.message()));
    }
  }
  const std::lock_guard<std::mutex> lock(container.mutex);
  ContainerRecord& record = container.record;
  record.set_state(ContainerRecord::EXITED);
  record.set_exit_code(code);
  record.set_finished_at(finished_at);
  if (record.reason().empty()) {
    record.set_reason(oom_kills > 0 ? "OOMKilled"
                      : code == 0   ? "Completed"
                                    : "Error");
  }
  if (absl::Status put = parts_.store->PutContainer(record); !put.ok()) {
    LogError(absl::StrCat("record end of container ", container.id, ": ",
                          put.message()));
  }
  container.changed.notify_all();
}

void Runtime::OnExited(const SandboxPtr& /*pod*/,
                       const keeper::v1::Exited& exited) {
  if (exited.is_exec()) {
    const std::lock_guard<std::mutex> lock(exec_mutex_);
    const auto found = execs_.find(exited.id());
    if (found != execs_.end()) {
      const std::lock_guard<std::mutex> wait(found->second->mutex);
      found->second->exit_code = exited.exit_code();
      eventfd_write(found->second->event, 1);
    }
    return;
  }
  const absl::StatusOr<ContainerPtr> container = FindContainer(exited.id());
  if (container.ok()) {
    MarkExited(**container, exited.exit_code(), exited.finished_at());
  }
}

void Runtime::OnKeeperGone(const SandboxPtr& pod) {
  {
    const std::lock_guard<std::mutex> lock(pod->mutex);
    if (pod->stopping) {
      return;
    }
    pod->record.set_state(state::v1::PodRecord::STOPPED);
    // The pointer stays: its object can't be destroyed on its own thread.
    if (absl::Status put = parts_.store->UpdatePod(pod->record); !put.ok()) {
      LogError(
          absl::StrCat("record end of pod ", pod->id, ": ", put.message()));
    }
  }
  LogError(absl::StrCat("keeper of pod ", pod->id,
                        " died: its containers are killed"));
  for (const ContainerPtr& container : ContainersOf(pod->id)) {
    if (!AwaitExit(*container, absl::ZeroDuration())) {
      MarkExited(*container, 255, NowNanos());
    }
  }
  const std::lock_guard<std::mutex> lock(exec_mutex_);
  for (const auto& [id, wait] : execs_) {
    if (wait->pod_id == pod->id) {
      const std::lock_guard<std::mutex> one(wait->mutex);
      wait->keeper_gone = true;
      eventfd_write(wait->event, 1);
    }
  }
}

}  // namespace caisson::cri
