#include "shim/core/container.h"

#include <utility>

namespace caisson::core {

using state::v1::ContainerRecord;

Container::Container(ContainerFacts facts)
    : id_(facts.record.id()),
      pod_id_(facts.record.pod_id()),
      facts_(std::make_shared<const ContainerFacts>(std::move(facts))) {}

ContainerFactsPtr Container::facts() const {
  MutexLock lock(mutex_);
  return facts_;
}

bool Container::AwaitExit(Deadline deadline) {
  MutexLock lock(mutex_);
  while (facts_->record.state() != ContainerRecord::EXITED && !removed_) {
    if (!changed_.WaitUntil(mutex_, deadline) && deadline.passed()) {
      return facts_->record.state() == ContainerRecord::EXITED;
    }
  }
  return true;
}

void Container::BeginCreation() {
  MutexLock lock(mutex_);
  being_made_ = true;
}

void Container::EndCreation() {
  MutexLock lock(mutex_);
  being_made_ = false;
  changed_.NotifyAll();
}

bool Container::AwaitCreation(Deadline deadline) {
  MutexLock lock(mutex_);
  while (being_made_) {
    if (!changed_.WaitUntil(mutex_, deadline) && deadline.passed()) {
      return false;
    }
  }
  return true;
}

void Container::StopBy(Deadline deadline) {
  std::vector<std::function<void()>> watchers;
  {
    MutexLock lock(mutex_);
    if (deadline >= stop_by_) {
      return;
    }
    stop_by_ = deadline;
    watchers.swap(watchers_);
  }
  for (const std::function<void()>& wake : watchers) {
    wake();
  }
}

Deadline Container::stop_by() const {
  MutexLock lock(mutex_);
  return stop_by_;
}

void Container::Watch(std::function<void()> wake) {
  {
    MutexLock lock(mutex_);
    if (facts_->record.state() != ContainerRecord::EXITED && !removed_) {
      watchers_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

void Container::BeginStart() {
  MutexLock lock(mutex_);
  starting_ = true;
}

bool Container::KeepExit(const Exit& exit) {
  MutexLock lock(mutex_);
  if (starting_) {
    kept_exit_ = exit;
  }
  return starting_;
}

std::optional<Exit> Container::EndStart() {
  MutexLock lock(mutex_);
  starting_ = false;
  return std::exchange(kept_exit_, std::nullopt);
}

void Container::Set(ContainerFactsPtr facts) {
  std::vector<std::function<void()>> watchers;
  {
    MutexLock lock(mutex_);
    facts_.swap(facts);
    if (facts_->record.state() == ContainerRecord::EXITED) {
      watchers.swap(watchers_);
    }
    changed_.NotifyAll();
  }
  for (const std::function<void()>& wake : watchers) {
    wake();
  }
}

bool Container::is_removed() const {
  MutexLock lock(mutex_);
  return removed_;
}

void Container::SetRemoved() {
  std::vector<std::function<void()>> watchers;
  {
    MutexLock lock(mutex_);
    removed_ = true;
    watchers.swap(watchers_);
    changed_.NotifyAll();
  }
  for (const std::function<void()>& wake : watchers) {
    wake();
  }
}

}  // namespace caisson::core
