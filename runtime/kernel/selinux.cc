#include "runtime/kernel/selinux.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_table.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/procfs.h"

namespace caisson::kernel {
namespace {

constexpr char kAttribute[] = "security.selinux";
constexpr char kExec[] = "thread-self/attr/exec";
constexpr int kMaxDepth = 4096;

// Contexts end with a zero byte, or don't.
absl::string_view WithoutZero(const char* text, ssize_t length) {
  return absl::string_view(text, strnlen(text, static_cast<size_t>(length)));
}

// The kernel has no setxattr(2) relative to a directory before 6.13: the link
// of the directory's fd is followed, `name` is not.
std::string PathBelow(int directory, const char* name) {
  return absl::StrCat("/proc/self/fd/", directory, "/", name);
}

absl::Status SetLabel(const std::string& path, const std::string& label,
                      bool follow) {
  const auto set = follow ? setxattr : lsetxattr;
  if (set(path.c_str(), kAttribute, label.c_str(), label.size() + 1, 0) == 0) {
    return absl::OkStatus();
  }
  // Gone meanwhile: nothing to label.
  return errno == ENOENT ? absl::OkStatus() : ErrnoError("label", path);
}

bool HasLabel(const std::string& path, const std::string& label) {
  char text[4096];
  const ssize_t length = getxattr(path.c_str(), kAttribute, text, sizeof(text));
  return length >= 0 && WithoutZero(text, length) == label;
}

class Relabeler {
 public:
  Relabeler(std::string label, uint64_t mount)
      : label_(std::move(label)), mount_(mount) {}

  // What is in the directory, and what is below that.
  absl::Status Enter(int directory, int depth) {
    if (depth > kMaxDepth) {
      return absl::ResourceExhaustedError("label directory: too deep");
    }
    return VisitDirectory(directory, [&](const DirectoryEntry& entry) {
      return Label(directory, entry.name.c_str(), depth);
    });
  }

 private:
  absl::Status Label(int directory, const char* name, int depth) {
    const UniqueFd file(
        openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat facts = {};
    if (!file.ok() || fstat(file.get(), &facts) != 0) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", name);
    }
    ASSIGN_OR_RETURN(const uint64_t mount, MountIdOf(file.get()));
    if (mount != mount_) {
      return absl::OkStatus();
    }
    if (S_ISDIR(facts.st_mode)) {
      RETURN_IF_ERROR(Enter(file.get(), depth + 1));
    }
    return SetLabel(PathBelow(directory, name), label_, false);
  }

  const std::string label_;
  const uint64_t mount_;
};

}  // namespace

absl::Status LabelOnExec(int root, const std::string& label) {
  ASSIGN_OR_RETURN(const UniqueFd out, OpenProcFileOf(root, kExec, O_WRONLY));
  if (write(out.get(), label.c_str(), label.size() + 1) < 0) {
    return ErrnoError("take SELinux context", label);
  }
  ASSIGN_OR_RETURN(const UniqueFd in, OpenProcFileOf(root, kExec, O_RDONLY));
  char text[4096];
  const ssize_t length = read(in.get(), text, sizeof(text));
  if (length < 0 || WithoutZero(text, length) != label) {
    return absl::InternalError(absl::StrCat(
        "take SELinux context ", label, ": the kernel says something else"));
  }
  return absl::OkStatus();
}

absl::Status Relabel(int root, const std::string& label) {
  const std::string path = absl::StrCat("/proc/self/fd/", root);
  if (HasLabel(path, label)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(root));
  if (is_directory) {
    ASSIGN_OR_RETURN(const uint64_t mount, MountIdOf(root));
    const absl::Status below = Relabeler(label, mount).Enter(root, 0);
    if (!below.ok() && !absl::IsUnimplemented(below)) {
      return below;
    }
  }
  const absl::Status done = SetLabel(path, label, true);
  return absl::IsUnimplemented(done) ? absl::OkStatus() : done;
}

}  // namespace caisson::kernel
