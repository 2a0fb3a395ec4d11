#pragma once

#include <string>

#include "absl/status/status.h"

namespace caisson::image {

// Mounts the EROFS image `file` at the directory `point` (created): read-only,
// nodev, and with directio, or every page would be cached twice.  OK when it
// is mounted there already.
absl::Status MountLayer(const std::string& file, const std::string& point);

// Unmounts and removes the directory.  Idempotent.
absl::Status UnmountLayer(const std::string& point);

}  // namespace caisson::image
