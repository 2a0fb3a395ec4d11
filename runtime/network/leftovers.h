#pragma once

#include <string>

#include "absl/status/status.h"
#include "runtime/base/deadline.h"

namespace caisson::network {

// Ends plugins that still run for a pod though nobody waits for them: the
// daemon that began them was killed.  An ADD that goes on beside DEL would
// leave an address behind.  They, and what they started, are known by
// CNI_CONTAINERID in their environment (proc_pid_environ(5)) and the pid
// namespace, which is the caller's.  OK when none is left; DeadlineExceeded.
// Any thread.
absl::Status EndLeftovers(const std::string& pod_id, Deadline deadline);

}  // namespace caisson::network
