#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"

namespace caisson {

// Makes the directory `path`, whose parent exists; OK when there is a directory
// (or a link to one) already, which keeps its mode.  For paths of the host that
// nobody else can change; below a root that isn't ours: kernel/path.h.
absl::Status MakeDirectory(const std::string& path, mode_t mode);

// The same with all that is missing above it, which gets `mode` as well.
absl::Status MakeDirectories(const std::string& path, mode_t mode);

// All that is missing above `path`, which is not made.
absl::Status MakeParents(const std::string& path, mode_t mode);

}  // namespace caisson
