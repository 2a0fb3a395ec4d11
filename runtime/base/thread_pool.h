#pragma once

#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "runtime/base/mutex.h"

namespace caisson {

// Threads that run tasks, in the order posted: at most `most` of them, made
// when there is work for them and gone after some seconds without.  Any
// thread.
class ThreadPool {
 public:
  using Task = std::function<void()>;

  // `name`: of the threads, at most 15 bytes (pthread_setname_np(3)).
  ThreadPool(std::string name, int most)
      : name_(std::move(name)), most_(most) {}

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Waits for the tasks that run; those that wait are dropped.
  ~ThreadPool();

  void Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

  // Threads that are there now.
  int threads() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  // False when there is nothing to do for a while, or for ever.
  bool Take(Task& task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const int most_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  int threads_ ABSL_GUARDED_BY(mutex_) = 0;
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace caisson
