#include "runtime/mount/tree.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/mount_table.h"
#include "runtime/kernel/path.h"

namespace caisson::mount {
namespace {

using keeper::v1::Mount;

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

// What concerns the submounts as well.
kernel::MountAttributes SharedAttributes(const Mount& mount) {
  kernel::MountAttributes all;
  all.propagation = PropagationFlag(mount);
  if (mount.recursive_read_only()) {
    all.set |= MOUNT_ATTR_RDONLY;
  }
  all.set |= FlagsOf(mount) & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  return all;
}

// A source, and the mounts of the host to find those below it.
struct Origin {
  int fd = -1;
  std::string path;  // without symlinks
  uint64_t mount_id = 0;
  std::vector<kernel::MountEntry> table;
};

absl::StatusOr<Origin> FindOrigin(int found) {
  Origin origin;
  origin.fd = found;
  char plain[PATH_MAX];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", found).c_str(),
                                  plain, sizeof(plain));
  if (length < 0) {
    return ErrnoError("read path of", "volume");
  }
  origin.path.assign(plain, static_cast<size_t>(length));
  ASSIGN_OR_RETURN(origin.mount_id, kernel::MountIdOf(found));
  ASSIGN_OR_RETURN(origin.table, kernel::ReadMountTable());
  return origin;
}

std::string Reason(const Origin& origin, uint64_t id, int tree) {
  for (const kernel::MountEntry& entry : origin.table) {
    if (entry.id == id) {
      return entry.id_mapped
                 ? absl::StrCat(entry.type,
                                " is mounted with an ID map already")
                 : absl::StrCat("filesystem ", entry.type,
                                " has no ID-mapped mounts");
    }
  }
  struct statfs facts = {};
  const int failed = fstatfs(tree, &facts);
  return absl::StrCat("filesystem of type 0x",
                      absl::Hex(failed != 0 ? 0 : facts.f_type),
                      " has no ID-mapped mounts");
}

// Takes the mounts of one volume.
class Taker {
 public:
  Taker(const Mount& mount, const Origin& origin, int user_namespace,
        absl::string_view advice)
      : mount_(mount),
        origin_(origin),
        user_namespace_(user_namespace),
        advice_(advice) {}

  absl::StatusOr<Source> Take() {
    Source source;
    const bool whole = mount_.propagation() == Mount::BIDIRECTIONAL;
    ASSIGN_OR_RETURN(source.tree, kernel::CloneTreeAt(
                                      origin_.fd, whole && mount_.recursive()));
    RETURN_IF_ERROR(SetTreeFlags(mount_, source.tree.get()));
    ASSIGN_OR_RETURN(source.mapped,
                     Map(source.tree.get(), origin_.mount_id, ""));
    if (!mount_.recursive()) {
      return source;
    }
    for (const kernel::MountEntry& entry :
         kernel::MountsBelow(origin_.table, origin_.mount_id, origin_.path)) {
      RETURN_IF_ERROR(TakePart(entry, whole, source));
    }
    return source;
  }

 private:
  absl::StatusOr<bool> Map(int tree, uint64_t id, absl::string_view below) {
    ASSIGN_OR_RETURN(const bool mapped,
                     TryMapIds(tree, user_namespace_, false));
    if (mapped || mount_.id_mapping() == Mount::MAPPED_WHERE_POSSIBLE) {
      return mapped;
    }
    return absl::FailedPreconditionError(
        absl::StrCat("map ids of ", mount_.source(),
                     below.empty() ? "" : ", mount below it at ", below, ": ",
                     Reason(origin_, id, tree), advice_));
  }

  absl::Status TakePart(const kernel::MountEntry& entry, bool whole,
                        Source& source) {
    std::string path = entry.mount_point.substr(
        origin_.path == "/" ? 1 : origin_.path.size() + 1);
    const absl::StatusOr<UniqueFd> point =
        kernel::OpenInRoot(origin_.fd, path, O_PATH);
    // One that another mount hides, or gone meanwhile: no path leads there.
    if (!point.ok() ||
        kernel::MountIdOf(point->get()).value_or(0) != entry.id) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(UniqueFd tree, kernel::CloneTreeAt(point->get(), false));
    RETURN_IF_ERROR(
        kernel::SetMountAttributes(tree.get(), SharedAttributes(mount_)));
    ASSIGN_OR_RETURN(const bool mapped, Map(tree.get(), entry.id, path));
    if (!mapped || whole) {
      source.unmapped_below.push_back(path);
    }
    if (!whole) {
      source.parts.push_back({std::move(path), std::move(tree)});
    }
    return absl::OkStatus();
  }

  const Mount& mount_;
  const Origin& origin_;
  int user_namespace_;
  absl::string_view advice_;
};

}  // namespace

uint64_t FlagsOf(const Mount& mount) {
  return (mount.read_only() ? MOUNT_ATTR_RDONLY : 0u) |
         (mount.nosuid() ? MOUNT_ATTR_NOSUID : 0u) |
         (mount.nodev() ? MOUNT_ATTR_NODEV : 0u) |
         (mount.noexec() ? MOUNT_ATTR_NOEXEC : 0u);
}

absl::Status SetTreeFlags(const Mount& mount, int tree) {
  kernel::MountAttributes own;
  own.set = FlagsOf(mount);
  RETURN_IF_ERROR(kernel::SetMountAttributes(tree, own));
  kernel::MountAttributes all = SharedAttributes(mount);
  all.recursive = mount.recursive();
  return kernel::SetMountAttributes(tree, all);
}

absl::StatusOr<bool> TryMapIds(int tree, int user_namespace, bool recursive) {
  kernel::MountAttributes map;
  map.recursive = recursive;
  map.user_namespace = user_namespace;
  const absl::Status status = kernel::SetMountAttributes(tree, map);
  // EINVAL: the filesystem; EPERM: mapped already, or a filesystem that is not
  // the host's.
  if (absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status)) {
    return false;
  }
  RETURN_IF_ERROR(status);
  return true;
}

absl::StatusOr<Source> TakeApart(const Mount& mount, int found,
                                 int user_namespace, absl::string_view advice) {
  ASSIGN_OR_RETURN(const Origin origin, FindOrigin(found));
  return Taker(mount, origin, user_namespace, advice).Take();
}

}  // namespace caisson::mount
