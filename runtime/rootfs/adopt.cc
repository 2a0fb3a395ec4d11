#include "runtime/rootfs/adopt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::rootfs {
namespace {

constexpr int kMaxDepth = 4096;

class Adopter {
 public:
  Adopter(int root, const NewOwner& new_owner)
      : root_(root), new_owner_(new_owner) {}

  // `path` is that of `directory` from the root, with a "/" at its end.
  absl::Status Enter(int directory, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", path, ": too deep"));
    }
    return VisitDirectory(directory, [&](const DirectoryEntry& entry) {
      return Adopt(directory, entry.name.c_str(), path, depth);
    });
  }

 private:
  absl::Status Adopt(int directory, const char* name, const std::string& path,
                     int depth) {
    const std::string whole = absl::StrCat(path, name);
    struct stat facts = {};
    if (fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoError("stat", whole);
    }
    const kernel::Owner now{facts.st_uid, facts.st_gid};
    const kernel::Owner wanted = new_owner_(now);
    if (wanted.uid != now.uid || wanted.gid != now.gid) {
      RETURN_IF_ERROR(ChangeOwner(whole, wanted));
    }
    if (!S_ISDIR(facts.st_mode)) {
      return absl::OkStatus();
    }
    const UniqueFd sub(openat(directory, name,
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!sub.ok()) {
      return ErrnoError("open", whole);
    }
    return Enter(sub.get(), whole + "/", depth + 1);
  }

  absl::Status ChangeOwner(const std::string& path,
                           const kernel::Owner& owner) {
    // Not found: a whiteout.  EXDEV: something is mounted there.
    const absl::StatusOr<UniqueFd> file =
        kernel::OpenBeneath(root_, path, O_PATH | O_NOFOLLOW);
    if (absl::IsNotFound(file.status()) ||
        absl::IsUnimplemented(file.status())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(file.status());
    if (fchownat(file->get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) != 0) {
      return ErrnoError("change owner of", path);
    }
    return absl::OkStatus();
  }

  int root_;
  const NewOwner& new_owner_;
};

}  // namespace

absl::Status AdoptFiles(const std::string& upper, int root,
                        const NewOwner& new_owner) {
  const UniqueFd directory(
      open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.ok()) {
    return ErrnoError("open", upper);
  }
  return Adopter(root, new_owner).Enter(directory.get(), "", 0);
}

}  // namespace caisson::rootfs
