#include "runtime/base/timers.h"

#include <pthread.h>

namespace caisson {

Timers::Timers() : thread_([this] { Loop(); }) {
  pthread_setname_np(thread_.native_handle(), "timers");
}

Timers::~Timers() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

Timers::Id Timers::At(Deadline deadline, std::function<void()> function) {
  MutexLock lock(mutex_);
  const Id id = ++last_id_;
  if (deadline.is_never()) {
    return id;
  }
  const bool first =
      pending_.empty() || Key(deadline, id) < pending_.begin()->first;
  pending_.emplace(Key(deadline, id), std::move(function));
  deadlines_.emplace(id, deadline);
  if (first) {
    changed_.NotifyAll();
  }
  return id;
}

bool Timers::Cancel(Id id) {
  std::function<void()> dropped;  // destroyed without the lock
  MutexLock lock(mutex_);
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) {
    return false;
  }
  const auto entry = pending_.find(Key(found->second, id));
  dropped = std::move(entry->second);
  pending_.erase(entry);
  deadlines_.erase(found);
  return true;
}

std::function<void()> Timers::AwaitNext() {
  MutexLock lock(mutex_);
  for (;;) {
    if (stopped_) {
      return nullptr;
    }
    const Deadline next =
        pending_.empty() ? Deadline::Never() : pending_.begin()->first.first;
    if (!next.passed()) {
      changed_.WaitUntil(mutex_, next);
      continue;
    }
    const auto first = pending_.begin();
    std::function<void()> function = std::move(first->second);
    deadlines_.erase(first->first.second);
    pending_.erase(first);
    return function;
  }
}

void Timers::Loop() {
  for (;;) {
    const std::function<void()> function = AwaitNext();
    if (function == nullptr) {
      return;
    }
    function();
  }
}

}  // namespace caisson
