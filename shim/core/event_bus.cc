#include "shim/core/event_bus.h"

#include <utility>

namespace caisson::core {

void EventBus::Subscribe(Listener listener) {
  MutexLock lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void EventBus::Publish(const Event& event) {
  MutexLock lock(mutex_);
  for (const Listener& listener : listeners_) {
    listener(event);
  }
}

}  // namespace caisson::core
