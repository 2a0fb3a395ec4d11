#include "runtime/base/remove_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {
namespace {

constexpr int kMaxDepth = 4096;

absl::StatusOr<uint64_t> MountId(int fd) {
  struct statx facts = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) != 0) {
    return ErrnoError("stat", "directory");
  }
  return facts.stx_mnt_id;
}

absl::Status EmptyDirectory(int directory, uint64_t mount, int depth);

absl::Status RemoveEntry(int parent, const char* name, uint64_t mount,
                         int depth) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR && errno != EPERM) {
    return ErrnoError("remove", name);
  }
  const UniqueFd child(
      openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!child.ok()) {
    return ErrnoError("open", name);
  }
  ASSIGN_OR_RETURN(const uint64_t id, MountId(child.get()));
  if (id != mount) {
    return absl::FailedPreconditionError(
        absl::StrCat("remove ", name, ": something is mounted there"));
  }
  RETURN_IF_ERROR(EmptyDirectory(child.get(), mount, depth + 1));
  if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoError("remove directory", name);
  }
  return absl::OkStatus();
}

absl::Status EmptyDirectory(int directory, uint64_t mount, int depth) {
  if (depth > kMaxDepth) {
    return absl::ResourceExhaustedError("remove directory: too deep");
  }
  // Listed first: what goes while it is read makes readdir(3) skip others.
  std::vector<std::string> names;
  RETURN_IF_ERROR(VisitDirectory(directory, [&](const DirectoryEntry& entry) {
    names.push_back(entry.name);
    return absl::OkStatus();
  }));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(RemoveEntry(directory, name.c_str(), mount, depth));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  const UniqueFd top(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", path);
  }
  ASSIGN_OR_RETURN(const uint64_t mount, MountId(top.get()));
  RETURN_IF_ERROR(Annotate(EmptyDirectory(top.get(), mount, 0), path));
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove directory", path);
  }
  return absl::OkStatus();
}

}  // namespace caisson
