#include "shim/ops/exits.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

constexpr absl::Duration kForgetTime = absl::Seconds(10);

// Kills what shares a pid namespace with others and outlived the first
// process; whether the kernel killed some for want of memory.
bool EndCgroup(const Node& node, const core::Container& container) {
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(node.layout, container.facts()->record.cgroup());
  if (!group.ok()) {
    return false;
  }
  const bool out_of_memory = group->OomKills().value_or(0) > 0;
  if (absl::Status killed = group->Kill(); !killed.ok()) {
    LogWarning(absl::StrCat("kill rest of container ", container.id(), ": ",
                            killed.message()));
  }
  return out_of_memory;
}

}  // namespace

void Exits::End(core::Container& container, const core::Exit& exit) {
  if (container.state() == ContainerRecord::EXITED) {
    return;
  }
  const bool out_of_memory = EndCgroup(node_, container);
  transitions_.End(container, [&](core::ContainerFacts& facts) {
    ContainerRecord& record = facts.record;
    record.set_exit_code(exit.code);
    record.set_finished_at(exit.finished_at);
    record.set_reason(exit.reason);
    record.set_message(exit.message);
    if (exit.reason.empty()) {
      record.set_reason(out_of_memory    ? "OOMKilled"
                        : exit.code == 0 ? "Completed"
                                         : "Error");
    }
  });
}

void Exits::OnExited(const core::PodPtr& /*pod*/,
                     const keeper::v1::Exited& exited) {
  if (exited.is_exec()) {
    execs_.End(exited.id(), exited.exit_code());
    return;
  }
  const absl::StatusOr<core::ContainerPtr> container =
      registry_.FindContainer(exited.id());
  const core::Exit exit{exited.exit_code(), exited.finished_at(), "", ""};
  if (container.ok() && !(*container)->KeepExit(exit)) {
    End(**container, exit);
  }
}

void Exits::Forget(const core::PodPtr& pod, const std::string& id) {
  // Its creation was in flight when an earlier daemon ended.  Not here: the
  // pod's queue must not wait for its keeper.  On failure it goes with the
  // pod.
  pool_.Post([keeper = pod->keeper(), id] {
    if (keeper != nullptr) {
      [[maybe_unused]] const absl::Status removed =
          keeper->RemoveContainer(id, Deadline::After(kForgetTime));
    }
  });
}

void Exits::TakeUp(core::Container& container,
                   const keeper::v1::ContainerDescription& description) {
  using Description = keeper::v1::ContainerDescription;
  if (description.state() == Description::RUNNING &&
      container.state() == ContainerRecord::CREATED) {
    const absl::Status running = transitions_.Change(
        container, ContainerRecord::RUNNING, [&](core::ContainerFacts& facts) {
          facts.record.set_started_at(description.started_at());
        });
    if (!running.ok()) {
      LogWarning(absl::StrCat("take up container ", container.id(), ": ",
                              running.message()));
    }
  }
  const core::Exit exit{description.exit_code(), description.finished_at(), "",
                        ""};
  if (description.state() == Description::EXITED && !container.KeepExit(exit)) {
    End(container, exit);
  }
}

void Exits::EndMissing(const core::PodPtr& pod,
                       std::vector<core::ContainerPtr> missing) {
  const std::shared_ptr<pod::Keeper> keeper = pod->keeper();
  if (missing.empty() || keeper == nullptr) {
    return;
  }
  // The description may be older than they are.  Not here: the pod's queue
  // must not wait for its keeper.  One that does not answer describes its pod
  // again, or ends.
  pool_.Post([this, keeper, missing = std::move(missing)] {
    const absl::StatusOr<pod::Keeper::Description> now =
        keeper->Describe(Deadline::After(kForgetTime));
    std::set<std::string> known;
    if (now.ok()) {
      for (const auto& each : now->pod.containers()) {
        known.insert(each.container_id());
      }
    }
    for (const core::ContainerPtr& container : missing) {
      if (now.ok() && !known.contains(container->id())) {
        End(*container, {kUnknownExitCode, NowNanos(), "", ""});
      }
    }
  });
}

void Exits::OnDescribed(const core::PodPtr& pod,
                        const keeper::v1::PodDescription& description) {
  std::set<std::string> known;
  for (const auto& each : description.containers()) {
    known.insert(each.container_id());
    const absl::StatusOr<core::ContainerPtr> container =
        registry_.FindContainer(each.container_id());
    if (container.ok()) {
      TakeUp(**container, each);
    } else {
      Forget(pod, each.container_id());
    }
  }
  std::vector<core::ContainerPtr> missing;
  for (const core::ContainerPtr& container :
       registry_.ContainersOf(pod->id())) {
    // One that is being made may not have reached its keeper yet.
    if (!known.contains(container->id()) &&
        container->state() != ContainerRecord::CREATING) {
      missing.push_back(container);
    }
  }
  EndMissing(pod, std::move(missing));
  std::set<std::string> execs;
  for (const auto& exec : description.execs()) {
    execs.insert(exec.exec_id());
  }
  execs_.KeepOnly(pod->id(), execs);
}

void Exits::OnKeeperEnded(const core::PodPtr& pod) {
  // Who stopped the pod expects it.
  if (pod->state() != state::v1::PodRecord::STOPPED) {
    LogError(absl::StrCat("keeper of pod ", pod->id(),
                          " died: its containers are killed"));
    transitions_.End(*pod);
  }
  for (const core::ContainerPtr& container :
       registry_.ContainersOf(pod->id())) {
    End(*container, {kUnknownExitCode, NowNanos(), "", ""});
  }
  execs_.KeepOnly(pod->id(), {});
}

}  // namespace caisson::ops
