#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

// Fields of /proc/PID/stat by the numbers of proc_pid_stat(5).  A pid may be
// another's by the time it is read: who needs to know looks at a pidfd after.
namespace caisson::kernel {

// When the process was started, in clock ticks since the boot; with its pid
// that names a process for as long as the machine runs.
inline constexpr int kStatStartTime = 22;
// How it ended, as waitpid(2) tells it; 0 for who may not trace it.
inline constexpr int kStatExitCode = 52;

// A field that is a number, of those behind the name.  NotFound when there is
// no such process.
absl::StatusOr<uint64_t> ReadProcessStat(pid_t pid, int field);

}  // namespace caisson::kernel
