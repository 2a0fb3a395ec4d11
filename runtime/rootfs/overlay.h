#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::rootfs {

// What the overlay is made of, as attached in the mount namespace of the
// caller: Linux 6.12 has no overlay over detached mounts.  The container sees
// these names in its mountinfo, so they say nothing of the host.
struct OverlayPlan {
  // Names below the working directory of the layers' mounts, topmost first.
  std::vector<std::string> layers;
  // Directory with "upper" and "work", below the working directory.
  std::string home;
  // SELinux context of all files; empty: none.
  std::string file_context;
  // Not nodev.
  bool has_nodes = false;
};

// The container's root, detached: an overlay of the layers and the upper
// directory.  Changes the working directory to `home`.  `volatile`:
// unmounting does not sync the filesystem of the upper, which is thrown away
// after a crash.
absl::StatusOr<UniqueFd> MountOverlay(const OverlayPlan& plan);

// The same without an upper: two or more `layers`, read-only; `home` is left
// alone.
absl::StatusOr<UniqueFd> MountReadOnlyOverlay(const OverlayPlan& plan);

// A detached clone of the sealed layer mounted at `path`: read-only, nodev,
// private, and mapped through `user_namespace` unless that is -1.
absl::StatusOr<UniqueFd> TakeLayer(const std::string& path, int user_namespace);

}  // namespace caisson::rootfs
