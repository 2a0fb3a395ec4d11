#include "shim/core/pod.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "shim/core/lifecycle.h"

namespace caisson::core {

Pod::Pod(PodFacts facts, ThreadPool& events)
    : id_(facts.record.id()),
      events_(events),
      facts_(std::make_shared<const PodFacts>(std::move(facts))) {}

PodFactsPtr Pod::facts() const {
  MutexLock lock(mutex_);
  return facts_;
}

std::shared_ptr<pod::Keeper> Pod::keeper() const {
  MutexLock lock(mutex_);
  return keeper_;
}

void Pod::SetKeeper(std::shared_ptr<pod::Keeper> keeper) {
  // The old one is destroyed without the lock.
  MutexLock lock(mutex_);
  keeper_.swap(keeper);
}

absl::StatusOr<std::shared_ptr<pod::Keeper>> Pod::UsableKeeper() const {
  MutexLock lock(mutex_);
  const state::v1::PodRecord::State state = facts_->record.state();
  if (keeper_ == nullptr || state == state::v1::PodRecord::STOPPED) {
    return absl::FailedPreconditionError(
        absl::StrCat("use pod sandbox ", id_, ": it is ",
                     keeper_ == nullptr && state == state::v1::PodRecord::READY
                         ? "without its keeper"
                         : StateName(state)));
  }
  return keeper_;
}

bool Pod::is_removed() const {
  MutexLock lock(mutex_);
  return removed_;
}

void Pod::SetRemoved() {
  MutexLock lock(mutex_);
  removed_ = true;
}

void Pod::Set(PodFactsPtr facts) {
  MutexLock lock(mutex_);
  facts_.swap(facts);
}

}  // namespace caisson::core
