#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"

namespace caisson::network {

// A CNI network configuration list; a single plugin's file is a list of one.
struct Configuration {
  std::string file;  // for messages
  std::string name;
  std::string version;
  std::vector<json::Value> plugins;  // each an object with a valid "type"
};

// Checks names, versions and types; InvalidArgument says what is wrong.
absl::StatusOr<Configuration> ParseConfiguration(const json::Value& value,
                                                 absl::string_view file);

// The form that ParseConfiguration() takes.
json::Value ToJson(const Configuration& configuration);

// Identifies what a directory holds: names, times, sizes, inodes.  NotFound
// when there is no configuration in it.
absl::StatusOr<std::string> ReadSignature(const std::string& directory);

// The first by lexical order of *.conf, *.conflist and *.json.
absl::StatusOr<Configuration> LoadConfiguration(const std::string& directory);

// The program of plugin `type`; NotFound names it and the directories.
absl::StatusOr<std::string> FindPlugin(
    const std::vector<std::string>& directories, const std::string& type);

}  // namespace caisson::network
