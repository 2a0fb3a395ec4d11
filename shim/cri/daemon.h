#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "shim/config/config.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {

// Makes the daemon's directories and opens its parts: image store, records,
// cgroups, CNI, keepers.  `program_directory`: where the helper programs are
// unless the configuration says so.
absl::StatusOr<std::unique_ptr<Runtime>> OpenRuntime(
    const config::Config& config, const std::string& program_directory);

// Serves the CRI at the configured socket until SIGTERM or SIGINT; pods go on
// running after its return.
absl::Status Serve(Runtime& runtime);

}  // namespace caisson::cri
