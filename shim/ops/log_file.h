#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::ops {

// Opens a container's log for appending, created 0640, with its directory if
// that is missing.  A symlink or anything but a regular file with one name is
// FailedPrecondition (catalogue G11).
absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path);

}  // namespace caisson::ops
