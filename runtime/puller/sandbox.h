#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace caisson::puller {

// Gives up all that a puller does not need, for good: ids, capabilities, new
// privileges, files (landlock(7): it may read certificates and the resolver's
// configuration, and write nothing that it wasn't handed open) and system
// calls (seccomp(2)).  Before the first byte of the network is read; the
// calling process has one thread.
absl::Status EnterSandbox(uint32_t uid, uint32_t gid);

}  // namespace caisson::puller
