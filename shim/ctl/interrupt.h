#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "absl/status/status.h"

namespace caisson::ctl {

// Turns SIGINT, SIGTERM and SIGHUP into a flag that is looked at between
// steps, so that a command can clean up.  Make it before other threads exist:
// they inherit that the signals are blocked.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  // Calls `action` in a thread of its own at each signal, from now on.
  void Watch(std::function<void()> action);

  // Cancelled, once a signal came.
  absl::Status Check() const;

 private:
  void Wait(const std::function<void()>& action);

  std::atomic<int> signal_ = 0;
  std::atomic<bool> end_ = false;
  std::thread thread_;
};

}  // namespace caisson::ctl
