#include "runtime/rootfs/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::rootfs {
namespace {

// Attaches an ID-mapped clone of `layer` at `point`, which is created.
absl::Status AttachMapped(const std::string& layer, const std::string& point,
                          int user_namespace) {
  ASSIGN_OR_RETURN(UniqueFd clone,
                   kernel::CloneTree(AT_FDCWD, layer.c_str(), false));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  attributes.user_namespace = user_namespace;
  RETURN_IF_ERROR(kernel::SetMountAttributes(clone.get(), attributes));
  if (mkdir(point.c_str(), 0700) != 0) {
    return ErrnoError("create directory", point);
  }
  const UniqueFd target(open(point.c_str(), O_PATH | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", point);
  }
  return kernel::AttachMount(clone.get(), target.get());
}

}  // namespace

absl::StatusOr<UniqueFd> MountOverlay(const OverlayPlan& plan) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem overlay,
                   kernel::NewFilesystem::Open("overlay"));
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    std::string lower = plan.layers[i];
    if (plan.user_namespace >= 0) {
      lower = absl::StrCat(plan.scratch, "/l", i);
      RETURN_IF_ERROR(Annotate(
          AttachMapped(plan.layers[i], lower, plan.user_namespace),
          absl::StrCat("map layer ", plan.layers[i])));
    }
    RETURN_IF_ERROR(overlay.Set("lowerdir+", lower.c_str()));
  }
  RETURN_IF_ERROR(overlay.Set("upperdir", plan.upper_directory.c_str()));
  RETURN_IF_ERROR(overlay.Set("workdir", plan.work_directory.c_str()));
  RETURN_IF_ERROR(overlay.SetFlag("volatile"));
  return overlay.Mount(MOUNT_ATTR_NODEV);
}

}  // namespace caisson::rootfs
