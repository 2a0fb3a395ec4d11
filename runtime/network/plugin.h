#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caisson::network {

struct PluginRun {
  std::string program;
  std::vector<std::string> environment;  // "NAME=value"; nothing else is there
  std::string input;
  absl::Duration timeout;
};

// Runs the program to its end and returns what it wrote to standard output.
// An error holds the plugin's own message.  DeadlineExceeded: it was killed
// with its process group.  Any thread.
absl::StatusOr<std::string> RunPlugin(const PluginRun& run);

}  // namespace caisson::network
