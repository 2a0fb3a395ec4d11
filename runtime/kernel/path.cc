#include "runtime/kernel/path.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/kernel/credentials.h"

namespace caisson::kernel {
namespace {

// The kernel gives up with EAGAIN when a rename raced with a "..".  That many
// tries fail in about 0.1 % of calls under attack (catalogue B1).
constexpr int kTries = 128;
// As the kernel has it.
constexpr int kMaxLinks = 40;

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

absl::Status MakeOneDirectory(int directory, const std::string& name,
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

std::string Join(const Components& parts) {
  return absl::StrCat("/", absl::StrJoin(parts, "/"));
}

// Where the link `name` leads that leads to nothing yet: images have such for
// what a volume brings (/etc/localtime, /var/run).  Empty when it is no link.
std::string ReadLink(int directory, const std::string& name) {
  // Links of procfs lead elsewhere than their text says.
  struct statfs facts = {};
  if (fstatfs(directory, &facts) != 0 || facts.f_type == PROC_SUPER_MAGIC) {
    return "";
  }
  char text[PATH_MAX];
  const ssize_t length =
      readlinkat(directory, name.c_str(), text, sizeof(text));
  return length <= 0 ? "" : std::string(text, static_cast<size_t>(length));
}

// The path that a link in the directory `parts` stands for; as all paths here
// it is looked up in the root, whatever it says.
std::string Follow(const Components& parts, const std::string& link) {
  return link.front() == '/' ? link : absl::StrCat(Join(parts), "/", link);
}

absl::Status TooManyLinks(absl::string_view path) {
  errno = ELOOP;
  return ErrnoError("follow links of", path);
}

absl::StatusOr<UniqueFd> MakeMissing(UniqueFd parent, const Components& names,
                                     absl::string_view path, Owner owner) {
  for (const std::string& name : names) {
    if (name == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("create directory ", path, ": .. in the missing part"));
    }
    RETURN_IF_ERROR(MakeOneDirectory(parent.get(), name, owner));
    ASSIGN_OR_RETURN(parent, OpenChildDirectory(parent.get(), name));
  }
  return parent;
}

absl::StatusOr<UniqueFd> MakeFile(int parent, const std::string& name,
                                  absl::string_view path, Owner owner) {
  UniqueFd file(CreateAs(owner, [&] {
    return openat(parent, name.c_str(),
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
  std::string wanted(path);
  for (int links = 0; links <= kMaxLinks; ++links) {
    absl::StatusOr<UniqueFd> found =
        OpenInRoot(root, wanted, O_PATH | O_DIRECTORY);
    if (found.ok() || !absl::IsNotFound(found.status())) {
      return found;
    }
    // The longest prefix that exists, then one component at a time by fd.
    Components there = SplitPath(wanted);
    Components missing;
    while (!there.empty() && absl::IsNotFound(found.status())) {
      missing.insert(missing.begin(), there.back());
      there.pop_back();
      found = OpenInRoot(root, Join(there), O_PATH | O_DIRECTORY);
    }
    RETURN_IF_ERROR(found.status());
    const std::string link = ReadLink(found->get(), missing.front());
    if (link.empty()) {
      return MakeMissing(std::move(found).value(), missing, path, owner);
    }
    missing.erase(missing.begin());
    wanted = absl::StrCat(Follow(there, link), Join(missing));
  }
  return TooManyLinks(path);
}

absl::StatusOr<UniqueFd> MakeFileInRoot(int root, absl::string_view path,
                                        Owner owner) {
  std::string wanted(path);
  for (int links = 0; links <= kMaxLinks; ++links) {
    absl::StatusOr<UniqueFd> found = OpenInRoot(root, wanted, O_PATH);
    if (found.ok() || !absl::IsNotFound(found.status())) {
      return found;
    }
    Components parts = SplitPath(wanted);
    if (parts.empty() || parts.back() == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("create file ", path, ": not a file's name"));
    }
    const std::string name = parts.back();
    parts.pop_back();
    ASSIGN_OR_RETURN(const UniqueFd parent,
                     MakeDirectoryInRoot(root, Join(parts), owner));
    const std::string link = ReadLink(parent.get(), name);
    if (link.empty()) {
      return MakeFile(parent.get(), name, path, owner);
    }
    wanted = Follow(parts, link);
  }
  return TooManyLinks(path);
}

absl::StatusOr<UniqueFd> MakeRealDirectory(int directory, const char* name,
                                           Owner owner) {
  RETURN_IF_ERROR(MakeOneDirectory(directory, name, owner));
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
