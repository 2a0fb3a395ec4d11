#include "runtime/mount/source.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"

namespace caisson::mount {
namespace {

using keeper::v1::Mount;

uint64_t Flags(const Mount& mount) {
  return (mount.read_only() ? MOUNT_ATTR_RDONLY : 0u) |
         (mount.nosuid() ? MOUNT_ATTR_NOSUID : 0u) |
         (mount.nodev() ? MOUNT_ATTR_NODEV : 0u) |
         (mount.noexec() ? MOUNT_ATTR_NOEXEC : 0u);
}

uint64_t PropagationFlag(const Mount& mount) {
  switch (mount.propagation()) {
    case Mount::HOST_TO_CONTAINER:
      return MS_SLAVE;
    case Mount::BIDIRECTIONAL:
      return MS_SHARED;
    default:
      return MS_PRIVATE;
  }
}

absl::Status CannotMap(int mount, absl::string_view source,
                       const absl::Status& cause) {
  struct statfs facts = {};
  const int failed = fstatfs(mount, &facts);
  return absl::FailedPreconditionError(absl::StrCat(
      "map ids of ", source, ": ", cause.message(), ": filesystem of type 0x",
      absl::Hex(failed != 0 ? 0 : facts.f_type),
      " or a mount below it has no ID-mapped mounts"));
}

// What a container can write to is looked up without its links: it could
// exchange a directory for one that leads out of its volume (CVE-2021-25741).
absl::StatusOr<UniqueFd> CloneSource(const Mount& mount, const char* source) {
  const std::string& above = mount.plain_below();
  if (above.empty()) {
    return kernel::CloneTree(AT_FDCWD, source, mount.recursive());
  }
  const UniqueFd directory(
      open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) {
    return ErrnoError("open", above);
  }
  absl::string_view below = source;
  absl::ConsumePrefix(&below, above);
  absl::ConsumePrefix(&below, "/");
  absl::StatusOr<UniqueFd> found =
      kernel::OpenWithoutLinks(directory.get(), below);
  RETURN_IF_ERROR(Annotate(found.status(), above));
  return kernel::CloneTreeAt(found->get(), mount.recursive());
}

absl::StatusOr<UniqueFd> TakeBind(const Mount& mount, const char* source,
                                  int user_namespace) {
  ASSIGN_OR_RETURN(UniqueFd tree, CloneSource(mount, source));
  kernel::MountAttributes own;
  own.set = Flags(mount);
  RETURN_IF_ERROR(kernel::SetMountAttributes(tree.get(), own));
  // What concerns the submounts as well.
  kernel::MountAttributes all;
  all.recursive = mount.recursive();
  all.propagation = PropagationFlag(mount);
  if (mount.recursive_read_only()) {
    all.set |= MOUNT_ATTR_RDONLY;
  }
  all.set |= own.set & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  RETURN_IF_ERROR(kernel::SetMountAttributes(tree.get(), all));
  if (mount.id_mapping() == Mount::MAPPED && user_namespace >= 0) {
    kernel::MountAttributes map;
    map.recursive = mount.recursive();
    map.user_namespace = user_namespace;
    if (absl::Status status = kernel::SetMountAttributes(tree.get(), map);
        !status.ok()) {
      return CannotMap(tree.get(), source, status);
    }
  }
  return tree;
}

absl::StatusOr<UniqueFd> MakeTmpfs(const Mount& mount) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  char text[8];
  snprintf(text, sizeof(text), "%o",
           mount.tmpfs_mode() == 0 ? 01777u : mount.tmpfs_mode() & 07777u);
  RETURN_IF_ERROR(tmpfs.Set("mode", text));
  if (mount.tmpfs_bytes() != 0) {
    RETURN_IF_ERROR(
        tmpfs.Set("size", absl::StrCat(mount.tmpfs_bytes()).c_str()));
  }
  return tmpfs.Mount(Flags(mount));
}

}  // namespace

absl::StatusOr<UniqueFd> TakeSource(const Mount& mount,
                                    const std::string& shm_path,
                                    int user_namespace) {
  switch (mount.kind()) {
    case Mount::TMPFS:
      return MakeTmpfs(mount);
    case Mount::SHM:
      return TakeBind(mount, shm_path.c_str(), user_namespace);
    default:
      return TakeBind(mount, mount.source().c_str(), user_namespace);
  }
}

absl::StatusOr<UniqueFd> TakeDevice(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd tree,
                   kernel::CloneTree(AT_FDCWD, path.c_str(), false));
  struct stat facts = {};
  if (fstat(tree.get(), &facts) != 0) {
    return ErrnoError("stat", path);
  }
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("take device ", path, ": not a device"));
  }
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  attributes.clear = MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
  attributes.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(tree.get(), attributes));
  return tree;
}

}  // namespace caisson::mount
