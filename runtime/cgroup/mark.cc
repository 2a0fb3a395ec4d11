#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/cgroup.h"

namespace caisson::cgroup {
namespace {

// kernfs keeps trusted.* for both versions of cgroups (since Linux 3.7).
constexpr char kMark[] = "trusted.caisson.pod";
constexpr size_t kMaxId = 128;
constexpr int kMaxDepth = 64;
constexpr size_t kMaxCgroups = 100000;

bool IsId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxId &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '-' || c == '_' || c == '.';
         });
}

// What the walk finds gone meanwhile was none of its business.
bool IsGone(int error) {
  return error == ENOENT || error == ENODEV;
}

class Walk {
 public:
  explicit Walk(Deadline deadline) : deadline_(deadline) {}

  absl::Status Look(int parent, const std::string& name,
                    const std::string& path, int depth);

  std::vector<MarkedCgroup> Take() && { return std::move(found_); }

 private:
  absl::Status Count(const std::string& path, int depth);

  const Deadline deadline_;
  size_t seen_ = 0;
  std::vector<MarkedCgroup> found_;
};

absl::Status Walk::Count(const std::string& path, int depth) {
  if (deadline_.passed()) {
    return absl::DeadlineExceededError("look for cgroups: too many to walk");
  }
  if (++seen_ > kMaxCgroups || depth > kMaxDepth) {
    return absl::ResourceExhaustedError(
        absl::StrCat("look for cgroups: too many, or too deep, at ", path));
  }
  return absl::OkStatus();
}

absl::Status Walk::Look(int parent, const std::string& name,
                        const std::string& path, int depth) {
  RETURN_IF_ERROR(Count(path, depth));
  const UniqueFd fd(openat(parent, name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) {
    return IsGone(errno) ? absl::OkStatus() : ErrnoError("open cgroup", path);
  }
  char id[kMaxId];
  const ssize_t size = fgetxattr(fd.get(), kMark, id, sizeof(id));
  if (size > 0 && IsId({id, static_cast<size_t>(size)})) {
    found_.push_back({path, std::string(id, static_cast<size_t>(size))});
    return absl::OkStatus();
  }
  absl::Status status =
      VisitDirectory(fd.get(), [&](const DirectoryEntry& entry) {
        if (entry.type != DT_DIR) {
          return absl::OkStatus();
        }
        return Look(
            fd.get(), entry.name,
            path.empty() ? entry.name : absl::StrCat(path, "/", entry.name),
            depth + 1);
      });
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::Status Cgroup::Mark(const std::string& pod_id) const {
  if (!IsId(pod_id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("mark cgroup ", path_, ": not an id"));
  }
  const std::string directory = unified_path();
  if (setxattr(directory.c_str(), kMark, pod_id.data(), pod_id.size(), 0) !=
      0) {
    return ErrnoError("mark", directory);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MarkedCgroup>> FindMarked(const Layout& layout,
                                                     Deadline deadline) {
  Walk walk(deadline);
  RETURN_IF_ERROR(walk.Look(AT_FDCWD, layout.unified, "", 0));
  return std::move(walk).Take();
}

}  // namespace caisson::cgroup
