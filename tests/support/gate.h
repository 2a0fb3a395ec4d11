#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace caisson::testing {

// Holds threads up until it is opened; once open it stays so.  Any thread.
class Gate {
 public:
  void Open() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

  // Gives up after a minute, so that a test that fails ends.
  void Wait() { WaitFor(absl::Minutes(1)); }

  // Whether it was opened in that time.
  bool WaitFor(absl::Duration time) ABSL_LOCKS_EXCLUDED(mutex_) {
    return WaitUntil(Deadline::After(time));
  }

  bool WaitUntil(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (!open_ && !deadline.passed()) {
      changed_.WaitUntil(mutex_, deadline);
    }
    return open_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace caisson::testing
