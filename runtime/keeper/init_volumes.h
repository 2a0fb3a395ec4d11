#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child.h"

// Volumes where the kernel's filesystems will be, and whether each volume is
// in the end where its path says.
namespace caisson::keeper::steps {

// The file that `fd` is, also an O_PATH one.
absl::StatusOr<FileId> Identify(int fd);

// A volume at or below /sys, or at a file of /proc.
struct LiftedVolume {
  UniqueFd tree;
  std::string target;
};

// Clones those of the plan out of the root, before /proc and /sys hide them,
// and those of hooks out of the stage.
// The clones have the locks that the copy of the mount namespace gave them:
// read-only stays so.
absl::StatusOr<std::vector<LiftedVolume>> LiftVolumes(
    const ChildContext& context);

// Attaches them on top of /proc and /sys; these lack what a path names:
// NotFound.
absl::Status PutBackVolumes(const ChildContext& context,
                            const std::vector<LiftedVolume>& lifted);

}  // namespace caisson::keeper::steps
