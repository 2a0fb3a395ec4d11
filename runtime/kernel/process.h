#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

// Processes by pidfd: clone3(2), pidfd_open(2), ioctl_pidfd(2).
namespace caisson::kernel {

struct ForkOptions {
  // CLONE_NEW* and CLONE_PARENT.
  uint64_t flags = 0;
  // Directory of the cgroup (v2) to be born in; -1: the caller's.
  int cgroup = -1;
  // Signal to the parent at the end; 0 needs __WALL to wait, and is demanded
  // by CLONE_PARENT.
  int exit_signal = 0;
};

struct Forked {
  // 0 in the child.
  pid_t pid = 0;
  // In the parent.
  UniqueFd pidfd;
};

// fork(2) with options.  Single-threaded processes only.
absl::StatusOr<Forked> Fork(const ForkOptions& options);

// Reaps the ended process: its exit status as shells tell it (128 + signal).
// `block`: waits for the end; else Unavailable while it runs.
absl::StatusOr<int> Reap(int pidfd, bool block);

absl::Status SignalProcess(int pidfd, int signal);

// Closes all fds but the standard three and `keep`.
absl::Status CloseAllBut(std::vector<int> keep);

enum class Namespace { kUser, kNetwork, kIpc, kUts, kMount, kPid, kCgroup };

// An fd of the namespace a process is in.
// Without a look at /proc.
absl::StatusOr<UniqueFd> OpenNamespace(int pidfd, Namespace kind);

// setns(2); the kind is checked.
absl::Status EnterNamespace(int fd, Namespace kind);

const char* NamespaceName(Namespace kind);

}  // namespace caisson::kernel
