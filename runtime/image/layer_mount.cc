#include "runtime/image/layer_mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::image {

absl::Status MountLayer(const std::string& file, const std::string& point) {
  if (mkdir(point.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", point);
  }
  struct statfs facts = {};
  if (statfs(point.c_str(), &facts) == 0 &&
      facts.f_type == EROFS_SUPER_MAGIC_V1) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem erofs,
                   kernel::NewFilesystem::Open("erofs"));
  RETURN_IF_ERROR(erofs.Set("source", file.c_str()));
  RETURN_IF_ERROR(erofs.SetFlag("directio"));
  RETURN_IF_ERROR(erofs.SetFlag("ro"));
  ASSIGN_OR_RETURN(UniqueFd mount,
                   erofs.Mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
  const UniqueFd target(
      open(point.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", point);
  }
  return kernel::AttachMount(mount.get(), target.get());
}

absl::Status UnmountLayer(const std::string& point) {
  if (umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 &&
      errno != EINVAL && errno != ENOENT) {
    return ErrnoError("unmount", point);
  }
  if (rmdir(point.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove directory", point);
  }
  return absl::OkStatus();
}

}  // namespace caisson::image
