#include "runtime/rootfs/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::rootfs {
namespace {

// Attaches an ID-mapped clone of `layer` at the directory `name` of the
// working directory, which is created.
absl::Status AttachMapped(const std::string& layer, const std::string& name,
                          int user_namespace) {
  ASSIGN_OR_RETURN(UniqueFd clone,
                   kernel::CloneTree(AT_FDCWD, layer.c_str(), false));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  attributes.user_namespace = user_namespace;
  RETURN_IF_ERROR(kernel::SetMountAttributes(clone.get(), attributes));
  if (mkdir(name.c_str(), 0700) != 0) {
    return ErrnoError("create directory", name);
  }
  const UniqueFd target(open(name.c_str(), O_PATH | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", name);
  }
  return kernel::AttachMount(clone.get(), target.get());
}

// Sets `key` to the last component of `path`, from within its directory: the
// container sees the option as it was given, and the host's paths are none of
// its business.
absl::Status SetDirectory(kernel::NewFilesystem& overlay, const char* key,
                          const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || chdir(path.substr(0, slash).c_str()) != 0) {
    return ErrnoError("enter directory of", path);
  }
  return overlay.Set(key, path.c_str() + slash + 1);
}

absl::Status AddLayers(kernel::NewFilesystem& overlay,
                       const OverlayPlan& plan) {
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    std::string lower = plan.layers[i];
    if (plan.user_namespace >= 0) {
      if (chdir(plan.scratch.c_str()) != 0) {
        return ErrnoError("enter", plan.scratch);
      }
      const std::string name = absl::StrCat("l", i);
      RETURN_IF_ERROR(Annotate(AttachMapped(lower, name, plan.user_namespace),
                               absl::StrCat("map layer ", lower)));
      lower = absl::StrCat(plan.scratch, "/", name);
    }
    RETURN_IF_ERROR(SetDirectory(overlay, "lowerdir+", lower));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> MountOverlay(const OverlayPlan& plan) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem overlay,
                   kernel::NewFilesystem::Open("overlay"));
  RETURN_IF_ERROR(AddLayers(overlay, plan));
  RETURN_IF_ERROR(SetDirectory(overlay, "upperdir", plan.upper_directory));
  RETURN_IF_ERROR(SetDirectory(overlay, "workdir", plan.work_directory));
  RETURN_IF_ERROR(overlay.SetFlag("volatile"));
  return overlay.Mount(MOUNT_ATTR_NODEV);
}

}  // namespace caisson::rootfs
