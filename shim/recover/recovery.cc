#include "shim/recover/recovery.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/recover/take_inventory.h"

namespace caisson::recover {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

// Keepers that are well answer in a millisecond: with them the first list is
// true.  One that hangs holds nobody up for longer than this.
constexpr absl::Duration kAnswerTime = absl::Milliseconds(100);
constexpr absl::Duration kAllAnswerTime = absl::Milliseconds(500);
constexpr absl::Duration kEndTime = absl::Minutes(2);

}  // namespace

void Recovery::RestorePod(PodRecord record) {
  core::PodFacts facts;
  auto config = std::make_shared<core::v1::PodSandboxConfig>();
  config->ParseFromString(record.config());
  record.clear_config();
  facts.config = std::move(config);
  facts.record = std::move(record);
  parts_.levels.Hold(facts.record.selinux_level());
  auto pod = std::make_shared<core::Pod>(std::move(facts), parts_.lanes.events);
  core::PodPtr other;
  if (const absl::Status added = parts_.registry.Add(pod, &other);
      !added.ok()) {
    LogError(absl::StrCat("recover pod ", pod->id(), ": ", added.message()));
  }
}

void Recovery::RestoreContainer(ContainerRecord record) {
  core::ContainerFacts facts;
  auto config = std::make_shared<core::v1::ContainerConfig>();
  config->ParseFromString(record.config());
  record.clear_config();
  facts.config = std::move(config);
  // The images of one that is being removed may be gone already.
  facts.images_held = parts_.images.Hold(record.image_id()).ok();
  for (const std::string& id : record.volume_images()) {
    [[maybe_unused]] const absl::Status held = parts_.images.Hold(id);
  }
  facts.record = std::move(record);
  auto container = std::make_shared<core::Container>(std::move(facts));
  core::ContainerPtr other;
  if (const absl::Status added = parts_.registry.Add(container, &other);
      !added.ok()) {
    LogError(absl::StrCat("recover container ", container->id(), ": ",
                          added.message()));
  }
}

void Recovery::Restore(Inventory& inventory, const Actions& actions) {
  std::set<std::string> pods;
  for (PodRecord& record : inventory.records.pods) {
    pods.insert(record.id());
    RestorePod(std::move(record));
  }
  for (ContainerRecord& record : inventory.records.containers) {
    if (pods.contains(record.pod_id())) {
      RestoreContainer(std::move(record));
    }
  }
  if (!actions.orphans.empty()) {
    LogWarning(absl::StrCat(
        "recover: without a record: ", actions.orphans.keepers.size(),
        " keepers, ", actions.orphans.cgroups.size(), " cgroups, ",
        actions.orphans.containers.size(), " containers, ",
        actions.orphans.attachments.size(), " networks: taken down"));
  }
}

void Recovery::ResumeKeepers(const Actions& actions) {
  for (const std::string& id : actions.resume) {
    const absl::StatusOr<core::PodPtr> pod = parts_.registry.FindPod(id);
    const absl::Status resumed =
        pod.ok() ? parts_.keepers.Resume(*pod) : pod.status();
    if (absl::IsNotFound(resumed)) {
      // Gone since the inventory.
      parts_.exits.OnKeeperEnded(*pod);
    } else if (!resumed.ok()) {
      LogError(absl::StrCat("recover pod ", id, ": ", resumed.message()));
    }
  }
}

void Recovery::AwaitKeepers(const Actions& actions) {
  const Deadline all = Deadline::After(kAllAnswerTime);
  for (const std::string& id : actions.resume) {
    const absl::StatusOr<core::PodPtr> pod = parts_.registry.FindPod(id);
    const std::shared_ptr<pod::Keeper> keeper =
        pod.ok() ? (*pod)->keeper() : nullptr;
    if (keeper == nullptr) {
      continue;
    }
    // It has told what it has before it answers this.
    const absl::StatusOr<pod::Keeper::Description> described =
        keeper->Describe(Deadline::Earlier(all, Deadline::After(kAnswerTime)));
    if (described.ok()) {
      parts_.exits.OnDescribed(*pod, described->pod);
    } else {
      LogWarning(absl::StrCat("recover pod ", id, ": ",
                              described.status().message(),
                              ": it is taken up when its keeper answers"));
    }
  }
}

void Recovery::EndUnheard(const Actions& actions) {
  for (const std::string& id : actions.ended) {
    const absl::StatusOr<core::ContainerPtr> container =
        parts_.registry.FindContainer(id);
    if (container.ok()) {
      parts_.exits.End(**container,
                       {ops::kUnknownExitCode, NowNanos(), "", ""});
    }
  }
}

void Recovery::FinishStops(const Actions& actions) {
  for (const UnfinishedStop& stop : actions.stops) {
    const absl::StatusOr<core::ContainerPtr> container =
        parts_.registry.FindContainer(stop.container_id);
    if (!container.ok()) {
      continue;
    }
    (*container)
        ->StopBy(Deadline::After(absl::Nanoseconds(stop.kill_at - NowNanos())));
    parts_.operations.Run(
        {absl::StrCat("stop ", stop.container_id),
         absl::StrCat("stop container ", stop.container_id), kEndTime,
         &parts_.lanes.stop},
        [this, container = *container](const core::OperationPtr& operation) {
          parts_.stop_container.Run(container, operation);
        },
        Deadline::Never(), [](const core::Operation::Result&) {});
  }
}

void Recovery::EndPods(const Actions& actions) {
  const auto begin = [this](const std::string& id,
                            ops::DetachQueue::Then then) {
    const absl::StatusOr<core::PodPtr> found = parts_.registry.FindPod(id);
    if (!found.ok()) {
      return;
    }
    parts_.transitions.End(**found);
    parts_.lanes.detach.Post([this, pod = *found, then] {
      const Deadline deadline = Deadline::After(kEndTime);
      const absl::Status ended = then == ops::DetachQueue::Then::kRemove
                                     ? parts_.pod_ending.Remove(pod, deadline)
                                     : parts_.pod_ending.Stop(pod, deadline);
      if (!ended.ok()) {
        LogWarning(
            absl::StrCat("recover pod ", pod->id(), ": ", ended.message()));
        parts_.detach_queue.Add(pod, then);
      }
    });
  };
  for (const std::string& id : actions.stop) {
    begin(id, ops::DetachQueue::Then::kNothing);
  }
  for (const std::string& id : actions.remove) {
    begin(id, ops::DetachQueue::Then::kRemove);
  }
  for (const std::string& id : actions.remove_containers) {
    const absl::StatusOr<core::ContainerPtr> container =
        parts_.registry.FindContainer(id);
    if (container.ok()) {
      parts_.lanes.stop.Post([this, it = *container] {
        const absl::Status removed =
            parts_.container_ending.Remove(it, Deadline::After(kEndTime));
        if (!removed.ok()) {
          LogWarning(absl::StrCat("recover container ", it->id(), ": ",
                                  removed.message()));
        }
      });
    }
  }
}

absl::Status Recovery::Run() {
  ASSIGN_OR_RETURN(Inventory inventory,
                   TakeInventory(parts_.node, parts_.paths, parts_.store,
                                 parts_.cni, parts_.keepers.fork_server_pid()));
  Actions actions = Difference(inventory);
  parts_.leases.Load(inventory.records.leases);
  Restore(inventory, actions);
  parts_.orphans.BlockIds(actions.orphans);
  EndUnheard(actions);
  ResumeKeepers(actions);
  AwaitKeepers(actions);
  FinishStops(actions);
  EndPods(actions);
  parts_.orphans.TakeDown(std::move(actions.orphans));
  return absl::OkStatus();
}

}  // namespace caisson::recover
