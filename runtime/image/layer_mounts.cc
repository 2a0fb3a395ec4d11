#include "runtime/image/layer_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::image {
namespace {

absl::StatusOr<UniqueFd> OpenMountPoint(const std::string& directory,
                                        const std::string& path) {
  for (const std::string& each : {directory, path}) {
    if (mkdir(each.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError("create", each);
    }
  }
  UniqueFd fd(
      open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return fd;
}

// Whether `fd` is the root of a mounted layer.
absl::StatusOr<bool> IsLayer(int fd, const std::string& path) {
  struct statfs filesystem = {};
  if (fstatfs(fd, &filesystem) != 0) {
    return ErrnoError("examine", path);
  }
  return filesystem.f_type == EROFS_SUPER_MAGIC_V1;
}

absl::StatusOr<UniqueFd> MakeMount(const std::string& file, bool direct) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem filesystem,
                   kernel::NewFilesystem::Open("erofs"));
  RETURN_IF_ERROR(filesystem.Set("source", file.c_str()));
  RETURN_IF_ERROR(filesystem.SetFlag("ro"));
  if (direct) {
    RETURN_IF_ERROR(filesystem.SetFlag("directio"));
  }
  return filesystem.Mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
}

absl::StatusOr<UniqueFd> MountFile(const std::string& file) {
  // With directio a page is cached once instead of twice.  Filesystems that
  // can't do it (or kernels, for the image's) still serve the layer.
  absl::StatusOr<UniqueFd> mount = MakeMount(file, true);
  if (!mount.ok()) {
    mount = MakeMount(file, false);
  }
  return mount;
}

absl::Status Detach(const std::string& path) {
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 &&
      errno != EINVAL && errno != ENOENT) {
    return ErrnoError("unmount", path);
  }
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> LayerMounts::Mount(const std::string& name,
                                               const std::string& file) {
  const std::string path = absl::StrCat(directory_, "/", name);
  const MutexLock lock(mutex_);
  if (mounted_.count(name) != 0) {
    return path;
  }
  ASSIGN_OR_RETURN(const UniqueFd point, OpenMountPoint(directory_, path));
  ASSIGN_OR_RETURN(const bool there, IsLayer(point.get(), path));
  if (!there) {
    absl::StatusOr<UniqueFd> mount = MountFile(file);
    RETURN_IF_ERROR(Annotate(mount.status(), absl::StrCat("mount ", file)));
    RETURN_IF_ERROR(kernel::AttachMount(mount->get(), point.get()));
  }
  mounted_.insert(name);
  return path;
}

absl::Status LayerMounts::Unmount(const std::string& name) {
  const MutexLock lock(mutex_);
  // First: a mount that failed to go half way must not be taken for one.
  mounted_.erase(name);
  return Detach(absl::StrCat(directory_, "/", name));
}

absl::Status LayerMounts::UnmountOthers(const std::set<std::string>& keep) {
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory_);
  if (!entries.ok()) {
    return absl::IsNotFound(entries.status()) ? absl::OkStatus()
                                              : entries.status();
  }
  absl::Status status;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name[0] != '.' && keep.count(entry.name) == 0) {
      status.Update(Unmount(entry.name));
    }
  }
  return status;
}

}  // namespace caisson::image
