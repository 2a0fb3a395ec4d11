#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace caisson {

// Calls functions at moments of the monotonic clock, on one thread of its own:
// they must not block, but post what does.  Any thread.
class Timers {
 public:
  using Id = uint64_t;

  Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  // Those that are not due yet are dropped.
  ~Timers();

  // Nothing ever happens at Deadline::Never().
  Id At(Deadline deadline, std::function<void()> function)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // False when it has run, or runs now.
  bool Cancel(Id id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<Deadline, Id>;

  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);
  // The next that is due; null at the end.
  std::function<void()> AwaitNext() ABSL_LOCKS_EXCLUDED(mutex_);

  Mutex mutex_;
  CondVar changed_;
  Id last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Key, std::function<void()>> pending_ ABSL_GUARDED_BY(mutex_);
  std::map<Id, Deadline> deadlines_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace caisson
