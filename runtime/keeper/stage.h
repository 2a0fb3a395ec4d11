#pragma once

#include <string>

#include "absl/status/status.h"

// The stage: a mount namespace that holds nothing but a tmpfs with the mount
// points of a container's set-up and one clone each of /proc and /sys.  Set-up
// runs in a copy of it, and not of the host's: copying a namespace, and
// leaving the copy, costs as much as it has mounts, and a node has thousands.
//
// /proc and /sys are there because the kernel lets a user namespace mount new
// ones only beside fully visible ones (mount_namespaces(7)).  /sys is
// read-only, so that those of the pods are and stay so.
namespace caisson::keeper {

// Names below the root of the stage: the container's root, its home directory
// and, with a number behind, the layers and the volumes that are images.
inline constexpr char kStageRoot[] = "root";
inline constexpr char kStageHome[] = "home";
inline constexpr char kStageLayer[] = "l";
inline constexpr char kStageVolume[] = "v";
// Device nodes of the container's own.
inline constexpr char kStageNodes[] = "nodes";

// Nothing, for an overlay that needs a second layer.
inline constexpr char kStageEmpty[] = "e";
// With a number behind: what hooks mounted in /proc or /sys.
inline constexpr char kStageHookDirectory[] = "hd";
inline constexpr char kStageHookFile[] = "hf";

// Makes a mount point of that path in a copy of the stage, a directory or a
// file.  The copies share the tmpfs: OK when another has made it.
absl::Status MakeStagePoint(const std::string& path, bool directory);

// Makes the stage and takes hold of it.  Once, in a single-threaded process
// that is in the host's mount namespace; its children inherit the hold.
absl::Status HoldStage();

// Enters a private copy of it; its root is the working directory.  In a child.
absl::Status EnterStageCopy();

}  // namespace caisson::keeper
