#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::kernel {

struct SpawnOptions {
  // Path of the program; nothing is looked up in PATH.
  std::string program;
  // argv, the program's own name first.
  std::vector<std::string> arguments;
  // "NAME=value"; nothing is inherited.
  std::vector<std::string> environment;
  // fds[i] becomes the child's fd i; -1: /dev/null.  It has no others.
  // Borrowed for the call.
  std::vector<int> fds = {-1, -1, -1};
  // A process group of its own, so that all of it can be killed at once.
  bool own_group = true;
};

struct Spawned {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// Runs a program in a child of the calling process, from any thread, in the
// directory "/", with no signal blocked and all at their defaults.
// posix_spawn(3) and not fork(2): the daemon is large and has threads.  Whoever
// calls reaps it (kernel::Reap).  The error is that of execve(2).
absl::StatusOr<Spawned> Spawn(const SpawnOptions& options);

}  // namespace caisson::kernel
