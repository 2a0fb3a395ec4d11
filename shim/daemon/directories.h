#pragma once

#include "absl/status/status.h"
#include "shim/config/config.h"
#include "shim/ops/paths.h"

namespace caisson::daemon {

// Makes the directories of the daemon (0700), and the lowest layer of every
// container.  Those that are there stay.
absl::Status MakeDirectories(const config::Config& config,
                             const ops::Paths& paths);

}  // namespace caisson::daemon
