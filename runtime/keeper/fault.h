#pragma once

#include <string>

#include "absl/status/status.h"

namespace caisson::keeper {

// Makes one step fail once, for tests that show that a failure anywhere
// leaves nothing behind.  A forked child has the keeper's fault as it was at
// the fork.
class Fault {
 public:
  // The process's only one.
  static Fault& Get();

  void Set(std::string step, int error_number);
  void Clear();

  // The error to return in place of running `step`, or OK.
  absl::Status Check(absl::string_view step) const;

 private:
  std::string step_;
  int error_number_ = 0;
};

}  // namespace caisson::keeper
