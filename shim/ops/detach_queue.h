#pragma once

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/timers.h"
#include "shim/core/pod.h"
#include "shim/ops/pod_ending.h"

namespace caisson::ops {

// Pods whose end failed half way, as a DEL of a plugin does while its agent is
// down: tried again, 1 s later, then twice as long each time up to 5 minutes,
// until it succeeds or somebody else has done it.  The pods' records are what
// makes it outlive the daemon.  Any thread.
class DetachQueue {
 public:
  // What else is to be done with the pod.
  enum class Then { kNothing, kRemove };

  DetachQueue(PodEnding& ending, Timers& timers, ThreadPool& pool)
      : ending_(ending), timers_(timers), pool_(pool) {}

  // Of one that is queued already the pause begins anew.
  void Add(const core::PodPtr& pod, Then then) ABSL_LOCKS_EXCLUDED(mutex_);

  // What is still to be done: a line for each pod, with the last error.
  std::map<std::string, std::string> Describe() const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    core::PodPtr pod;
    Then then = Then::kNothing;
    absl::Duration pause;
    Timers::Id timer = 0;
    std::string error;
  };

  void Schedule(const std::string& id, Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Try(const std::string& id) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnTried(const std::string& id, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mutex_);

  PodEnding& ending_;
  Timers& timers_;
  ThreadPool& pool_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::ops
