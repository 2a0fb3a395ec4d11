#include "runtime/rootfs/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::rootfs {

absl::StatusOr<UniqueFd> TakeLayer(const std::string& path,
                                   int user_namespace) {
  ASSIGN_OR_RETURN(UniqueFd clone,
                   kernel::CloneTree(AT_FDCWD, path.c_str(), false));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  attributes.user_namespace = user_namespace;
  RETURN_IF_ERROR(kernel::SetMountAttributes(clone.get(), attributes));
  return clone;
}

absl::StatusOr<UniqueFd> MountOverlay(const OverlayPlan& plan) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem overlay,
                   kernel::NewFilesystem::Open("overlay"));
  for (const std::string& layer : plan.layers) {
    RETURN_IF_ERROR(overlay.Set("lowerdir+", layer.c_str()));
  }
  if (chdir(plan.home.c_str()) != 0) {
    return ErrnoError("enter", plan.home);
  }
  RETURN_IF_ERROR(overlay.Set("upperdir", "upper"));
  RETURN_IF_ERROR(overlay.Set("workdir", "work"));
  RETURN_IF_ERROR(overlay.SetFlag("volatile"));
  RETURN_IF_ERROR(overlay.SetContext(plan.file_context));
  return overlay.Mount(plan.has_nodes ? 0 : MOUNT_ATTR_NODEV);
}

absl::StatusOr<UniqueFd> MountReadOnlyOverlay(const OverlayPlan& plan) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem overlay,
                   kernel::NewFilesystem::Open("overlay"));
  for (const std::string& layer : plan.layers) {
    RETURN_IF_ERROR(overlay.Set("lowerdir+", layer.c_str()));
  }
  RETURN_IF_ERROR(overlay.SetContext(plan.file_context));
  return overlay.Mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
}

}  // namespace caisson::rootfs
