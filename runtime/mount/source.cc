#include "runtime/mount/source.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/mount/tree.h"

namespace caisson::mount {
namespace {

using keeper::v1::Mount;

absl::StatusOr<Source> TakeBind(const Mount& mount, const std::string& path,
                                int user_namespace, absl::string_view advice) {
  Source source;
  ASSIGN_OR_RETURN(source.tree, kernel::CloneTree(AT_FDCWD, path.c_str(),
                                                  mount.recursive()));
  RETURN_IF_ERROR(SetTreeFlags(mount, source.tree.get()));
  if (mount.id_mapping() == Mount::UNMAPPED || user_namespace < 0) {
    return source;
  }
  ASSIGN_OR_RETURN(source.mapped, TryMapIds(source.tree.get(), user_namespace,
                                            mount.recursive()));
  if (source.mapped) {
    return source;
  }
  // One mount that can't be mapped fails the whole tree.
  return TakeApart(mount, path, user_namespace, advice);
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
  return tmpfs.Mount(FlagsOf(mount));
}

}  // namespace

absl::StatusOr<Source> TakeSource(const Mount& mount,
                                  const std::string& shm_path,
                                  int user_namespace,
                                  absl::string_view advice) {
  switch (mount.kind()) {
    case Mount::TMPFS: {
      Source source;
      ASSIGN_OR_RETURN(source.tree, MakeTmpfs(mount));
      return source;
    }
    case Mount::SHM:
      return TakeBind(mount, shm_path, user_namespace, advice);
    default:
      return TakeBind(mount, mount.source(), user_namespace, advice);
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
