#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "shim/ctl/arguments.h"

// The commands of caissonctl, a file each.  A value is the program's exit
// code; an error is printed by main().
namespace caisson::ctl {

// Runs a command in a pod of its own and gives its exit code.  Leaves nothing
// behind, also when interrupted.
absl::StatusOr<int> Run(const std::string& endpoint, const RunOptions& options);

absl::StatusOr<int> Ps(const std::string& endpoint);

// Stops and removes every pod.
absl::StatusOr<int> RemoveAll(const std::string& endpoint);

// 1 when something is missing without which caissond doesn't start.
absl::StatusOr<int> Check();

absl::StatusOr<int> ConfigDefault();

// Prints this program's version, and the daemon's when it answers.
absl::StatusOr<int> Version(const std::string& endpoint);

}  // namespace caisson::ctl
