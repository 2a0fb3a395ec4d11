#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/cri/v1/api.pb.h"
#include "api/keeper/v1/keeper.pb.h"
#include "api/state/v1/state.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace caisson::core {

namespace v1 = ::runtime::v1;

using StepTimes = google::protobuf::RepeatedPtrField<keeper::v1::StepTime>;

// What is known of a container at one moment; never changed, only replaced.
struct ContainerFacts {
  std::shared_ptr<const v1::ContainerConfig> config;
  // Without its `config`, which is above.
  state::v1::ContainerRecord record;
  StepTimes steps;
  // The image store keeps its image and its volumes' for it.
  bool images_held = false;
};

using ContainerFactsPtr = std::shared_ptr<const ContainerFacts>;

// How a container ended.
struct Exit {
  int code = 0;
  int64_t finished_at = 0;  // nanoseconds since the epoch
  // Empty: they follow from the code.
  std::string reason;
  std::string message;
};

// A container in memory.  Any thread; only Transitions changes its facts.
class Container {
 public:
  explicit Container(ContainerFacts facts);

  const std::string& id() const { return id_; }

  const std::string& pod_id() const { return pod_id_; }

  ContainerFactsPtr facts() const ABSL_LOCKS_EXCLUDED(mutex_);

  state::v1::ContainerRecord::State state() const {
    return facts()->record.state();
  }

  // False when it had not ended by then.
  bool AwaitExit(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  // Until EndCreation() somebody makes it, and whatever state it has meanwhile,
  // more of it may come to be.
  void BeginCreation() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndCreation() ABSL_LOCKS_EXCLUDED(mutex_);
  // False when somebody still made it by then.
  bool AwaitCreation(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  // A grace period ends at the earliest moment that anybody asked for, as the
  // kubelet does for a pod that it deletes once more, by force.
  void StopBy(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  Deadline stop_by() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls `wake` once: when the container has ended, or its StopBy() moment
  // has changed; right away when it has ended already.  Not under a lock of
  // this.
  void Watch(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mutex_);

  // Its record has gone: nothing of it changes any more.
  bool is_removed() const ABSL_LOCKS_EXCLUDED(mutex_);

  // One removal at a time.
  Mutex& removal() ABSL_LOCK_RETURNED(removal_) { return removal_; }

  // One change of its limits at a time.
  Mutex& limiting() ABSL_LOCK_RETURNED(limiting_) { return limiting_; }

  // While a start is under way, who hears of an end keeps it here (true), for
  // the start decides what is said of it.
  void BeginStart() ABSL_LOCKS_EXCLUDED(mutex_);
  bool KeepExit(const Exit& exit) ABSL_LOCKS_EXCLUDED(mutex_);
  // The end that was kept meanwhile.
  std::optional<Exit> EndStart() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class Transitions;

  // Replaces the facts, and tells those who wait.
  void Set(ContainerFactsPtr facts) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetRemoved() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string id_;
  const std::string pod_id_;
  Mutex removal_;
  Mutex limiting_;

  // Held over a transition with its record; before mutex_, which is never held
  // for long.
  Mutex transition_ ABSL_ACQUIRED_BEFORE(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  ContainerFactsPtr facts_ ABSL_GUARDED_BY(mutex_);
  bool removed_ ABSL_GUARDED_BY(mutex_) = false;
  bool being_made_ ABSL_GUARDED_BY(mutex_) = false;
  Deadline stop_by_ ABSL_GUARDED_BY(mutex_) = Deadline::Never();
  std::vector<std::function<void()>> watchers_ ABSL_GUARDED_BY(mutex_);
  bool starting_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Exit> kept_exit_ ABSL_GUARDED_BY(mutex_);
};

using ContainerPtr = std::shared_ptr<Container>;

}  // namespace caisson::core
