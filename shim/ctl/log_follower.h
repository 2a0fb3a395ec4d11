#pragma once

#include <string>

#include "absl/status/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::ctl {

// Copies a growing container log to two files, without times and tags.
class LogFollower {
 public:
  // The fds are borrowed.
  LogFollower(std::string path, int stdout_fd, int stderr_fd);

  // Copies what was written since the last call; a log that doesn't exist yet
  // is empty.
  absl::Status Drain();

 private:
  absl::Status CopyLines();

  std::string path_;
  int stdout_fd_;
  int stderr_fd_;
  UniqueFd log_;
  std::string pending_;  // read, but not yet a whole line
};

}  // namespace caisson::ctl
