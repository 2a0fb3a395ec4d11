#include "runtime/kernel/path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/kernel/credentials.h"

namespace caisson::kernel {
namespace {

// The kernel gives up with EAGAIN when a rename raced with a "..".  That many
// tries fail in about 0.1 % of calls under attack (catalogue 2.1.2).
constexpr int kTries = 128;

using Components = std::vector<std::string>;

Components SplitPath(absl::string_view path) {
  Components parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part != ".") {
      parts.emplace_back(part);
    }
  }
  return parts;
}

// Calls `create` again as `owner` when it says that root of the host has no id
// there: a volume through the pod's map knows of the pod's only.
template <typename Create>
int CreateAs(Owner owner, Create create) {
  const int result = create();
  if (result >= 0 || errno != EOVERFLOW) {
    return result;
  }
  const ActingAs acting(owner.uid, owner.gid);
  return create();
}

absl::Status MakeDirectory(int directory, const std::string& name,
                           Owner owner) {
  const int made =
      CreateAs(owner, [&] { return mkdirat(directory, name.c_str(), 0755); });
  if (made != 0) {
    // Somebody sharing the tree may have been faster.
    return errno == EEXIST ? absl::OkStatus()
                           : ErrnoError("create directory", name);
  }
  if (fchownat(directory, name.c_str(), owner.uid, owner.gid,
               AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("change owner of directory", name);
  }
  return absl::OkStatus();
}

// Not ok() on failure; errno says why.
UniqueFd TryOpenAt2(int directory, absl::string_view path, int flags,
                    uint64_t resolve) {
  const std::string text(path);
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  UniqueFd fd;
  for (int i = 0; i < kTries; ++i) {
    fd.reset(static_cast<int>(
        syscall(SYS_openat2, directory, text.c_str(), &how, sizeof(how))));
    if (fd.ok()) {
      return fd;
    }
    if (errno != EAGAIN && errno != EINTR) {
      break;
    }
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenAt2(int directory, absl::string_view path,
                                 int flags, uint64_t resolve) {
  UniqueFd fd = TryOpenAt2(directory, path, flags, resolve);
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenChildDirectory(int directory,
                                            const std::string& name) {
  UniqueFd fd(openat(directory, name.c_str(),
                     O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open directory", name);
  }
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenInRoot(int root, absl::string_view path,
                                    int flags) {
  return OpenAt2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<UniqueFd> OpenBeneath(int directory, absl::string_view path,
                                     int flags) {
  return OpenAt2(directory, path, flags,
                 RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<UniqueFd> OpenWithoutLinks(int directory,
                                          absl::string_view path) {
  UniqueFd fd = TryOpenAt2(directory, path.empty() ? "." : path, O_PATH,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  if (!fd.ok() && errno == ELOOP) {
    return absl::FailedPreconditionError(
        absl::StrCat("open ", path, ": there is a link in it"));
  }
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return fd;
}

absl::StatusOr<UniqueFd> MakeDirectoryInRoot(int root, absl::string_view path,
                                             Owner owner) {
  absl::StatusOr<UniqueFd> found = OpenInRoot(root, path, O_PATH | O_DIRECTORY);
  if (found.ok() || !absl::IsNotFound(found.status())) {
    return found;
  }
  // The longest prefix that exists, then one component at a time by fd.
  Components parts = SplitPath(path);
  Components missing;
  while (!parts.empty() && absl::IsNotFound(found.status())) {
    missing.insert(missing.begin(), parts.back());
    parts.pop_back();
    const std::string prefix = absl::StrCat("/", absl::StrJoin(parts, "/"));
    found = OpenInRoot(root, prefix, O_PATH | O_DIRECTORY);
  }
  for (const std::string& name : missing) {
    if (!found.ok()) {
      break;
    }
    if (name == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("create directory ", path, ": .. in the missing part"));
    }
    RETURN_IF_ERROR(MakeDirectory(found->get(), name, owner));
    found = OpenChildDirectory(found->get(), name);
  }
  return found;
}

absl::StatusOr<UniqueFd> MakeFileInRoot(int root, absl::string_view path,
                                        Owner owner) {
  absl::StatusOr<UniqueFd> found = OpenInRoot(root, path, O_PATH);
  if (found.ok() || !absl::IsNotFound(found.status())) {
    return found;
  }
  Components parts = SplitPath(path);
  if (parts.empty() || parts.back() == "..") {
    return absl::InvalidArgumentError(
        absl::StrCat("create file ", path, ": not a file's name"));
  }
  const std::string name = parts.back();
  parts.pop_back();
  ASSIGN_OR_RETURN(
      UniqueFd parent,
      MakeDirectoryInRoot(root, absl::StrCat("/", absl::StrJoin(parts, "/")),
                          owner));
  UniqueFd file(CreateAs(owner, [&] {
    return openat(parent.get(), name.c_str(),
                  O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
  }));
  if (!file.ok()) {
    return ErrnoError("create file", path);
  }
  if (fchown(file.get(), owner.uid, owner.gid) != 0) {
    return ErrnoError("change owner of file", path);
  }
  return file;
}

absl::StatusOr<UniqueFd> MakeRealDirectory(int directory, const char* name,
                                           Owner owner) {
  RETURN_IF_ERROR(MakeDirectory(directory, name, owner));
  absl::StatusOr<UniqueFd> opened = OpenChildDirectory(directory, name);
  if (!opened.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "open /", name, " of the image: not a directory of its own"));
  }
  return opened;
}

absl::StatusOr<bool> IsDirectory(int fd) {
  struct stat facts = {};
  if (fstat(fd, &facts) != 0) {
    return ErrnoError("stat", "file");
  }
  return S_ISDIR(facts.st_mode);
}

}  // namespace caisson::kernel
