#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/kernel/command.h"

namespace caisson::network {

// Runs the program to its end and returns what it wrote to standard output.
// An error holds the plugin's own message.  DeadlineExceeded: it was killed
// with its process group.  Any thread.
absl::StatusOr<std::string> RunPlugin(const kernel::Command& run);

}  // namespace caisson::network
