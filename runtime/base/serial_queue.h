#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"

namespace caisson {

// Runs its tasks one after the other, in the order posted, on threads of a
// pool (which outlives it).  What was posted is run even if the queue is gone
// by then.  Any thread.
class SerialQueue {
 public:
  explicit SerialQueue(ThreadPool& pool)
      : state_(std::make_shared<State>(pool)) {}

  void Post(std::function<void()> task);

 private:
  struct State {
    explicit State(ThreadPool& threads) : pool(threads) {}

    ThreadPool& pool;
    Mutex mutex;
    std::deque<std::function<void()>> tasks ABSL_GUARDED_BY(mutex);
    bool running ABSL_GUARDED_BY(mutex) = false;
  };

  static void Run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace caisson
