#include "shim/core/transitions.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/core/lifecycle.h"

namespace caisson::core {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

template <typename State>
absl::Status CheckFollows(const std::string& id, State from, State to) {
  return MayFollow(from, to) ? absl::OkStatus()
                             : absl::FailedPreconditionError(
                                   absl::StrCat("make ", id, " ", StateName(to),
                                                ": it is ", StateName(from)));
}

// A container that ends while it is made has no record, and gets none.
bool IsUnborn(PodRecord::State /*from*/, const PodFacts& /*next*/) {
  return false;
}

bool IsUnborn(ContainerRecord::State from, const ContainerFacts& next) {
  return from == ContainerRecord::CREATING &&
         next.record.state() == ContainerRecord::EXITED;
}

Event EventOf(const PodFactsPtr& facts) {
  return {facts->record.id(), facts, nullptr, false};
}

Event EventOf(const ContainerFactsPtr& facts) {
  return {facts->record.pod_id(), nullptr, facts, false};
}

}  // namespace

absl::Status Transitions::Record(const PodFacts& facts) {
  PodRecord record = facts.record;
  record.set_config(facts.config->SerializeAsString());
  return store_.UpdatePod(record);
}

absl::Status Transitions::Record(const ContainerFacts& facts) {
  ContainerRecord record = facts.record;
  record.set_config(facts.config->SerializeAsString());
  return store_.PutContainer(record);
}

template <typename Object, typename Facts, typename State>
absl::Status Transitions::Apply(Object& object, std::optional<State> to,
                                absl::FunctionRef<void(Facts&)> change,
                                bool recorded) {
  MutexLock lock(object.transition_);
  if (object.is_removed()) {
    return absl::AbortedError(
        absl::StrCat("change ", object.id(), ": it was removed"));
  }
  auto next = std::make_shared<Facts>(*object.facts());
  const State from = next->record.state();
  change(*next);
  if (to.has_value()) {
    RETURN_IF_ERROR(CheckFollows(object.id(), from, *to));
    next->record.set_state(*to);
  }
  if (recorded && !IsUnborn(from, *next)) {
    RETURN_IF_ERROR(Record(*next));
  }
  object.Set(next);
  if (to.has_value()) {
    events_.Publish(EventOf(next));
  }
  return absl::OkStatus();
}

absl::Status Transitions::Change(Pod& pod, PodRecord::State to,
                                 PodChange change) {
  return Apply<Pod, PodFacts>(pod, std::optional(to), change, true);
}

absl::Status Transitions::Change(Container& container,
                                 ContainerRecord::State to,
                                 ContainerChange change) {
  return Apply<Container, ContainerFacts>(container, std::optional(to), change,
                                          true);
}

void Transitions::End(Container& container, ContainerChange change) {
  absl::Status ended = Change(container, ContainerRecord::EXITED, change);
  if (ended.ok() || absl::IsFailedPrecondition(ended) ||
      absl::IsAborted(ended)) {
    return;
  }
  LogError(absl::StrCat("record end of container ", container.id(), ": ",
                        ended.message()));
  ended = Apply<Container, ContainerFacts>(
      container, std::optional(ContainerRecord::EXITED), change, false);
}

void Transitions::End(Pod& pod) {
  const auto nothing = [](PodFacts&) {};
  absl::Status ended = Change(pod, PodRecord::STOPPED, nothing);
  if (ended.ok() || absl::IsFailedPrecondition(ended) ||
      absl::IsAborted(ended)) {
    return;
  }
  LogError(absl::StrCat("record end of pod ", pod.id(), ": ", ended.message()));
  ended = Apply<Pod, PodFacts>(pod, std::optional(PodRecord::STOPPED), nothing,
                               false);
}

absl::Status Transitions::Note(Pod& pod, PodChange change) {
  return Apply<Pod, PodFacts>(pod, std::optional<PodRecord::State>(), change,
                              true);
}

absl::Status Transitions::Note(Container& container, ContainerChange change) {
  return Apply<Container, ContainerFacts>(
      container, std::optional<ContainerRecord::State>(), change, true);
}

void Transitions::NoteUnrecorded(Pod& pod, PodChange change) {
  [[maybe_unused]] const absl::Status removed = Apply<Pod, PodFacts>(
      pod, std::optional<PodRecord::State>(), change, false);
}

void Transitions::NoteUnrecorded(Container& container, ContainerChange change) {
  [[maybe_unused]] const absl::Status removed =
      Apply<Container, ContainerFacts>(
          container, std::optional<ContainerRecord::State>(), change, false);
}

absl::Status Transitions::Remove(Pod& pod) {
  MutexLock lock(pod.transition_);
  if (pod.is_removed()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(store_.RemovePod(pod.id()));
  pod.SetRemoved();
  events_.Publish({pod.id(), pod.facts(), nullptr, true});
  return absl::OkStatus();
}

absl::Status Transitions::Remove(Container& container) {
  MutexLock lock(container.transition_);
  if (container.is_removed()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(store_.RemoveContainer(container.id()));
  container.SetRemoved();
  events_.Publish({container.pod_id(), nullptr, container.facts(), true});
  return absl::OkStatus();
}

}  // namespace caisson::core
