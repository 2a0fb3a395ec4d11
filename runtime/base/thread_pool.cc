#include "runtime/base/thread_pool.h"

#include <pthread.h>

#include <thread>
#include <utility>

namespace caisson {
namespace {

// A burst has its threads again without making them; a quiet daemon has none.
constexpr absl::Duration kIdleTime = absl::Seconds(5);

}  // namespace

ThreadPool::~ThreadPool() {
  MutexLock lock(mutex_);
  stopped_ = true;
  tasks_.clear();
  changed_.NotifyAll();
  while (threads_ > 0) {
    changed_.Wait(mutex_);
  }
}

void ThreadPool::Post(Task task) {
  MutexLock lock(mutex_);
  if (stopped_) {
    return;
  }
  tasks_.push_back(std::move(task));
  // One that waits takes one task: a second task in its way needs another.
  if (idle_ >= static_cast<int>(tasks_.size()) || threads_ == most_) {
    changed_.NotifyOne();
    return;
  }
  ++threads_;
  std::thread([this] { Work(); }).detach();
}

int ThreadPool::threads() {
  MutexLock lock(mutex_);
  return threads_;
}

bool ThreadPool::Take(Task& task) {
  const Deadline idle_until = Deadline::After(kIdleTime);
  ++idle_;
  while (tasks_.empty() && !stopped_ && !idle_until.passed()) {
    changed_.WaitUntil(mutex_, idle_until);
  }
  --idle_;
  if (tasks_.empty()) {
    return false;
  }
  task = std::move(tasks_.front());
  tasks_.pop_front();
  return true;
}

void ThreadPool::Work() {
  pthread_setname_np(pthread_self(), name_.c_str());
  for (;;) {
    Task task;
    {
      MutexLock lock(mutex_);
      if (!Take(task)) {
        --threads_;
        // Under the lock: the destructor may end right afterwards.
        changed_.NotifyAll();
        return;
      }
    }
    task();
  }
}

}  // namespace caisson
