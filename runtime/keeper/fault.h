#pragma once

#include <string>

#include "absl/status/status.h"

namespace caisson::keeper {

// For tests: makes one step fail once, which shows that a failure anywhere
// leaves nothing behind; or makes a process wait between two steps, where an
// attacker would like to find it.  A forked child has the keeper's fault as it
// was at the fork.
class Fault {
 public:
  // The process's only one.
  static Fault& Get();

  void Set(std::string step, int error_number);
  // Empty: after none any more.
  void SetPause(std::string step);
  void Clear();

  // The error to return in place of running `step`, or OK.
  absl::Status Check(absl::string_view step) const;

  // After `step` has run: waits for SIGUSR1 when that is the step to pause
  // after.  The signal is blocked meanwhile, which /proc/PID/status shows.
  void Pause(absl::string_view step) const;

 private:
  std::string step_;
  std::string pause_;
  int error_number_ = 0;
};

}  // namespace caisson::keeper
