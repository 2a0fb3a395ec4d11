#include "shim/ops/container_ending.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;

// A keeper tells the exit code of a killed container in less than that, or
// has other troubles.
constexpr absl::Duration kTellPatience = absl::Seconds(2);

// What is left of a keeper's memory of a container is freed with its pod.
constexpr absl::Duration kForgetPatience = absl::Seconds(5);

absl::Status AwaitEmpty(const cgroup::Cgroup& group, Deadline deadline) {
  absl::Status empty = group.WaitUntilEmpty(deadline);
  if (!absl::IsDeadlineExceeded(empty)) {
    return empty;
  }
  const std::vector<int> left = group.Processes().value_or(std::vector<int>());
  return absl::DeadlineExceededError(
      absl::StrCat("killed, but the kernel does not end processes ",
                   absl::StrJoin(left, " ")));
}

}  // namespace

absl::Status ContainerEnding::Kill(const core::ContainerPtr& container,
                                   Deadline deadline) {
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(node_.layout, container->facts()->record.cgroup());
  const bool ended = container->state() == ContainerRecord::EXITED;
  if (!group.ok() && !absl::IsNotFound(group.status())) {
    return group.status();
  }
  if (group.ok()) {
    RETURN_IF_ERROR(group->Kill());
  }
  const auto pod = registry_.FindPod(container->pod_id());
  // Its keeper knows the exit code, and reaps: first of all ask it.
  const bool told = ended || (pod.ok() && (*pod)->keeper() != nullptr &&
                              container->AwaitExit(Deadline::Earlier(
                                  deadline, Deadline::After(kTellPatience))));
  if (group.ok()) {
    RETURN_IF_ERROR(AwaitEmpty(*group, deadline));
  }
  if (!told) {
    exits_.End(*container, {kKilledExitCode, NowNanos(), "", ""});
  }
  return absl::OkStatus();
}

absl::Status ContainerEnding::ForgetInKeeper(const core::Container& container,
                                             Deadline deadline) {
  const auto pod = registry_.FindPod(container.pod_id());
  const std::shared_ptr<pod::Keeper> keeper =
      pod.ok() ? (*pod)->keeper() : nullptr;
  if (keeper == nullptr) {
    return absl::OkStatus();
  }
  const absl::Status forgotten = keeper->RemoveContainer(
      container.id(),
      Deadline::Earlier(deadline, Deadline::After(kForgetPatience)));
  // One that does not answer has no process of the container any more, and
  // forgets it with its pod.
  return absl::IsUnavailable(forgotten) || absl::IsDeadlineExceeded(forgotten)
             ? absl::OkStatus()
             : forgotten;
}

absl::Status ContainerEnding::RemoveCgroup(const core::Container& container,
                                           Deadline deadline) {
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(node_.layout, container.facts()->record.cgroup());
  if (!group.ok()) {
    return absl::IsNotFound(group.status()) ? absl::OkStatus() : group.status();
  }
  // Nearly always nothing runs in it any more.
  if (group->Destroy().ok()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group->Kill());
  RETURN_IF_ERROR(AwaitEmpty(*group, deadline));
  return group->Destroy();
}

absl::Status ContainerEnding::AwaitCreation(core::Container& container,
                                            Deadline deadline) {
  if (container.AwaitCreation(Deadline())) {
    return absl::OkStatus();
  }
  // A keeper that is making it gives up by this.
  RETURN_IF_ERROR(ForgetInKeeper(container, deadline));
  return container.AwaitCreation(deadline)
             ? absl::OkStatus()
             : absl::DeadlineExceededError("its creation has not ended");
}

absl::Status ContainerEnding::Remove(const core::ContainerPtr& container,
                                     Deadline deadline) {
  // Of several who remove it one does, and the others find it gone: hooks run
  // once, images are released once.
  MutexLock lock(container->removal());
  if (container->is_removed()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(AwaitCreation(*container, deadline));
  RETURN_IF_ERROR(ForgetInKeeper(*container, deadline));
  RETURN_IF_ERROR(RemoveCgroup(*container, deadline));
  const core::ContainerFactsPtr facts = container->facts();
  hooks_.RunLate(*facts, device::Moment::kPoststop);
  RETURN_IF_ERROR(trash_.Discard(paths_.ContainerDirectory(container->id())));
  RETURN_IF_ERROR(transitions_.Remove(*container));
  registry_.Remove(*container);
  if (facts->images_held) {
    images_.Release(facts->record.image_id());
    for (const std::string& id : facts->record.volume_images()) {
      images_.Release(id);
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::ops
