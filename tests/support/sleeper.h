#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::testing {

struct Process {
  int pid = 0;
  UniqueFd pidfd;
};

// Runs a program of the host (its path first; "/bin/sleep infinity" for one
// that only is there), born in the cgroup whose v2 directory `cgroup` is open
// (-1: the caller's).  Its output goes to the fds, or nowhere (-1); it has no
// other file of the caller's.
absl::StatusOr<Process> RunIn(int cgroup, const std::vector<std::string>& argv,
                              int out = -1, int err = -1);

absl::StatusOr<Process> SleepIn(int cgroup);

// Whether it has ended; reaps it if it is a child.  `code` as shells tell it,
// 137 for one that is nobody's child here.
bool HasEnded(int pidfd, int* code);

}  // namespace caisson::testing
