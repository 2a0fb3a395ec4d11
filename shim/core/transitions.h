#pragma once

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "shim/core/container.h"
#include "shim/core/event_bus.h"
#include "shim/core/pod.h"
#include "shim/store/store.h"

namespace caisson::core {

// The one place where the state of a pod or a container changes: the change is
// checked, recorded, seen by all, and published, in this order.  Any thread;
// changes of one object happen one after the other.
//
// FailedPrecondition: the state does not follow from the one that it has;
// Aborted: the object was removed meanwhile.  Nothing has changed then, nor
// when the record could not be written.
class Transitions {
 public:
  Transitions(store::Store& store, EventBus& events)
      : store_(store), events_(events) {}

  // Sets fields that go with the new state.
  using PodChange = absl::FunctionRef<void(PodFacts& facts)>;
  using ContainerChange = absl::FunctionRef<void(ContainerFacts& facts)>;

  absl::Status Change(Pod& pod, state::v1::PodRecord::State to,
                      PodChange change);
  absl::Status Change(Container& container,
                      state::v1::ContainerRecord::State to,
                      ContainerChange change);

  // An end that was seen is a fact, with or without a record of it: a failure
  // to write is logged.  Of two the first counts.
  void End(Container& container, ContainerChange change);
  void End(Pod& pod);

  // Fields alone; the state stays.  Nothing is published.
  absl::Status Note(Pod& pod, PodChange change);
  absl::Status Note(Container& container, ContainerChange change);
  // The same in memory alone, for what a record of the intent need not have.
  void NoteUnrecorded(Pod& pod, PodChange change);
  void NoteUnrecorded(Container& container, ContainerChange change);

  // The record goes, and nothing changes afterwards.  OK when it is gone.
  absl::Status Remove(Pod& pod);
  absl::Status Remove(Container& container);

 private:
  // `to`: absent for fields alone.
  template <typename Object, typename Facts, typename State>
  absl::Status Apply(Object& object, std::optional<State> to,
                     absl::FunctionRef<void(Facts&)> change, bool recorded);
  absl::Status Record(const PodFacts& facts);
  absl::Status Record(const ContainerFacts& facts);

  store::Store& store_;
  EventBus& events_;
};

}  // namespace caisson::core
