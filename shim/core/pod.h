#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "api/state/v1/state.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/serial_queue.h"
#include "runtime/pod/keeper.h"
#include "shim/core/container.h"

namespace caisson::core {

// What is known of a pod sandbox at one moment; never changed, only replaced.
struct PodFacts {
  std::shared_ptr<const v1::PodSandboxConfig> config;
  // Without its `config`, which is above.
  state::v1::PodRecord record;
  StepTimes steps;
};

using PodFactsPtr = std::shared_ptr<const PodFacts>;

// A pod sandbox in memory.  Any thread; only Transitions changes its facts.
class Pod {
 public:
  // What its keeper tells is worked off on threads of `events`.
  Pod(PodFacts facts, ThreadPool& events);

  const std::string& id() const { return id_; }

  PodFactsPtr facts() const ABSL_LOCKS_EXCLUDED(mutex_);

  state::v1::PodRecord::State state() const { return facts()->record.state(); }

  // Its record has gone: nothing of it changes any more.
  bool is_removed() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Null before its keeper is there, and after its end.  Called without a
  // lock: whoever has it keeps it alive.
  std::shared_ptr<pod::Keeper> keeper() const ABSL_LOCKS_EXCLUDED(mutex_);
  void SetKeeper(std::shared_ptr<pod::Keeper> keeper)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The keeper of a pod that is ready or being made; FailedPrecondition else.
  absl::StatusOr<std::shared_ptr<pod::Keeper>> UsableKeeper() const;

  // What happens to it, in the order in which it happened.
  SerialQueue& events() { return events_; }

  // One end of it at a time, and one change of its limits.
  Mutex& ending() ABSL_LOCK_RETURNED(ending_) { return ending_; }

  Mutex& limiting() ABSL_LOCK_RETURNED(limiting_) { return limiting_; }

 private:
  friend class Transitions;

  void Set(PodFactsPtr facts) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetRemoved() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string id_;
  SerialQueue events_;
  Mutex ending_;
  Mutex limiting_;

  // Held over a transition with its record; before mutex_.
  Mutex transition_ ABSL_ACQUIRED_BEFORE(mutex_);

  mutable Mutex mutex_;
  PodFactsPtr facts_ ABSL_GUARDED_BY(mutex_);
  bool removed_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<pod::Keeper> keeper_ ABSL_GUARDED_BY(mutex_);
};

using PodPtr = std::shared_ptr<Pod>;

}  // namespace caisson::core
