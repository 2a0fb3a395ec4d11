#pragma once

#include "absl/status/status.h"
#include "shim/core/container.h"
#include "shim/core/operation.h"
#include "shim/core/pod.h"

namespace caisson::ops {

// ReopenContainerLog.  FailedPrecondition unless it runs.
absl::Status ReopenLog(const core::Pod& pod, const core::Container& container,
                       const core::Operation& operation);

}  // namespace caisson::ops
