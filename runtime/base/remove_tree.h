#pragma once

#include <string>

#include "absl/status/status.h"

namespace caisson {

// Removes the directory `path` and all below it by directory fds: no link is
// followed and no mount point crossed (CVE-2024-23652); one is an error.  OK
// when absent.
absl::Status RemoveTree(const std::string& path);

}  // namespace caisson
