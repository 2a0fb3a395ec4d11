#include "runtime/mount/source.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/make_directory.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/mount_table.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/selinux.h"
#include "runtime/mount/tree.h"

namespace caisson::mount {
namespace {

using keeper::v1::Mount;

// Opened once: whatever its path leads to later is another's.  What a
// container can write to is looked up without its links: it could exchange a
// directory for one that leads out of its volume (CVE-2021-25741).
absl::StatusOr<UniqueFd> OpenSource(const Mount& mount,
                                    const std::string& path) {
  const std::string& above = mount.plain_below();
  UniqueFd fd(
      open(above.empty() ? path.c_str() : above.c_str(), O_PATH | O_CLOEXEC));
  if (!fd.ok() && errno == ENOENT && above.empty() && mount.make_source()) {
    // As a hostPath without a type wants it: nobody looked whether it is there.
    RETURN_IF_ERROR(MakeDirectories(path, 0755));
    fd.reset(open(path.c_str(), O_PATH | O_CLOEXEC));
  }
  if (!fd.ok()) {
    return ErrnoError("open", above.empty() ? path : above);
  }
  if (above.empty()) {
    return fd;
  }
  absl::string_view below = path;
  absl::ConsumePrefix(&below, above);
  absl::ConsumePrefix(&below, "/");
  absl::StatusOr<UniqueFd> found = kernel::OpenWithoutLinks(fd.get(), below);
  RETURN_IF_ERROR(Annotate(found.status(), above));
  return found;
}

// What is mounted in a volume must come up on the host when it is asked for:
// who mounts there waits for nothing else.
absl::Status CheckShared(const Mount& mount, int found) {
  if (mount.propagation() != Mount::BIDIRECTIONAL) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const uint64_t id, kernel::MountIdOf(found));
  ASSIGN_OR_RETURN(const std::vector<kernel::MountEntry> table,
                   kernel::ReadMountTable());
  const bool shared = std::any_of(table.begin(), table.end(),
                                  [&](const kernel::MountEntry& entry) {
                                    return entry.id == id && entry.shared;
                                  });
  return shared ? absl::OkStatus()
                : absl::FailedPreconditionError(absl::StrCat(
                      "share ", mount.source(),
                      " with the host: its mount there is not shared"));
}

absl::StatusOr<Source> TakeBind(const Mount& mount, const std::string& path,
                                int user_namespace, absl::string_view advice) {
  ASSIGN_OR_RETURN(const UniqueFd found, OpenSource(mount, path));
  RETURN_IF_ERROR(CheckShared(mount, found.get()));
  if (!mount.file_context().empty()) {
    RETURN_IF_ERROR(kernel::Relabel(found.get(), mount.file_context()));
  }
  Source source;
  ASSIGN_OR_RETURN(source.tree,
                   kernel::CloneTreeAt(found.get(), mount.recursive()));
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
  return TakeApart(mount, found.get(), user_namespace, advice);
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
  RETURN_IF_ERROR(tmpfs.SetContext(mount.file_context()));
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
