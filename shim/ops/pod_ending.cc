#include "shim/ops/pod_ending.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/ops/pod_files.h"

namespace caisson::ops {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

}  // namespace

absl::Status PodEnding::EndContainer(const core::PodPtr& pod,
                                     const core::ContainerPtr& container,
                                     Deadline deadline) {
  container->StopBy(Deadline());
  if (container->state() == ContainerRecord::CREATING) {
    // Its creation fails by this, and undoes itself.
    if (const auto keeper = pod->keeper(); keeper != nullptr) {
      [[maybe_unused]] const absl::Status ended = keeper->RemoveContainer(
          container->id(),
          Deadline::Earlier(deadline, Deadline::After(absl::Seconds(2))));
    }
  }
  return Annotate(parts_.containers.Kill(container, deadline),
                  absl::StrCat("stop container ", container->id()));
}

absl::Status PodEnding::EndContainers(const core::PodPtr& pod,
                                      Deadline deadline) {
  absl::Status status;
  // Each, whatever becomes of the others.
  for (const core::ContainerPtr& container :
       parts_.registry.ContainersOf(pod->id())) {
    status.Update(EndContainer(pod, container, deadline));
  }
  return status;
}

absl::Status PodEnding::StopHeld(const core::PodPtr& pod, Deadline deadline) {
  // What is being made looks at this after it is seen by the loop below.
  const absl::Status stopped = parts_.transitions.Change(
      *pod, PodRecord::STOPPED, [](core::PodFacts&) {});
  // It may be so already, also by the end of its keeper this moment.
  if (!stopped.ok() && pod->state() != PodRecord::STOPPED) {
    return stopped;
  }
  RETURN_IF_ERROR(EndContainers(pod, deadline));
  RETURN_IF_ERROR(Annotate(parts_.network.Detach(*pod, deadline), "network"));
  RETURN_IF_ERROR(parts_.keepers.End(*pod, deadline));
  return absl::OkStatus();
}

absl::Status PodEnding::Stop(const core::PodPtr& pod, Deadline deadline) {
  MutexLock lock(pod->ending());
  return pod->is_removed() ? absl::OkStatus() : StopHeld(pod, deadline);
}

absl::Status PodEnding::RemoveCgroup(const core::PodFacts& facts) {
  if (!facts.record.owns_cgroup()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.node.layout, facts.record.cgroup());
  if (absl::IsNotFound(group.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group.status());
  return group->Destroy();
}

absl::Status PodEnding::Remove(const core::PodPtr& pod, Deadline deadline) {
  MutexLock lock(pod->ending());
  if (pod->is_removed()) {
    return absl::OkStatus();
  }
  // Recorded with what follows: another daemon goes on with it.
  parts_.transitions.NoteUnrecorded(
      *pod, [](core::PodFacts& facts) { facts.record.set_removing(true); });
  RETURN_IF_ERROR(StopHeld(pod, deadline));
  for (const core::ContainerPtr& container :
       parts_.registry.ContainersOf(pod->id())) {
    RETURN_IF_ERROR(
        Annotate(parts_.containers.Remove(container, deadline),
                 absl::StrCat("remove container ", container->id())));
  }
  const core::PodFactsPtr facts = pod->facts();
  RETURN_IF_ERROR(RemoveCgroup(*facts));
  RETURN_IF_ERROR(RemovePodDirectory(parts_.paths.PodDirectory(pod->id())));
  RETURN_IF_ERROR(parts_.transitions.Remove(*pod));
  parts_.leases.Release(pod->id());
  parts_.levels.Release(facts->record.selinux_level());
  parts_.registry.Remove(*pod);
  return absl::OkStatus();
}

}  // namespace caisson::ops
