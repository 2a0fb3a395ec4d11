#include "runtime/base/serial_queue.h"

#include <utility>

namespace caisson {

void SerialQueue::Post(std::function<void()> task) {
  {
    MutexLock lock(state_->mutex);
    state_->tasks.push_back(std::move(task));
    if (state_->running) {
      return;
    }
    state_->running = true;
  }
  state_->pool.Post([state = state_] { Run(state); });
}

void SerialQueue::Run(const std::shared_ptr<State>& state) {
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(state->mutex);
      if (state->tasks.empty()) {
        state->running = false;
        return;
      }
      task = std::move(state->tasks.front());
      state->tasks.pop_front();
    }
    task();
  }
}

}  // namespace caisson
