#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::rootfs {

struct OverlayPlan {
  // Mount points of the sealed layers, topmost first; paths of ours.
  std::vector<std::string> layers;
  std::string upper_directory;
  std::string work_directory;
  // The pod's, for ID-mapped clones of the layers; -1: as they are.
  int user_namespace = -1;
  // Holds one empty directory "lN" a layer, for their clones: Linux 6.12 has
  // no overlay over detached mounts.
  std::string scratch;
};

// The container's root, detached: an overlay of the layers and the upper
// directory, nodev.  Changes the working directory.  `volatile`: unmounting
// does not sync the filesystem of the upper, which is thrown away after a
// crash.  In a mount namespace of the caller's own: the clones stay attached
// below `scratch`.
absl::StatusOr<UniqueFd> MountOverlay(const OverlayPlan& plan);

}  // namespace caisson::rootfs
