#pragma once

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/unique_fd.h"

// Paths below a root that is not to be trusted: an image, a volume, a
// container.  The only functions of the code base that resolve such a path
// (catalogue invariant 2); what they return is used by fd, never by name.
namespace caisson::kernel {

// Opens `path` as a process whose root is `root` would: symlinks and ".."
// stay inside, magic links are refused (openat2(2) RESOLVE_IN_ROOT,
// RESOLVE_NO_MAGICLINKS).  `flags` are those of open(2); O_CLOEXEC is added.
absl::StatusOr<UniqueFd> OpenInRoot(int root, absl::string_view path,
                                    int flags);

// Opens `path` below `directory` on the filesystem of that, as of the kernel's
// own (procfs, cgroupfs): no symlink that is magic, no "..", no mount on the
// way (RESOLVE_BENEATH, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS).
absl::StatusOr<UniqueFd> OpenBeneath(int directory, absl::string_view path,
                                     int flags);

// Opens `path` below `directory` (O_PATH), with no link in any of its
// components: FailedPrecondition when there is one.
absl::StatusOr<UniqueFd> OpenWithoutLinks(int directory,
                                          absl::string_view path);

// Who owns what is created here, in ids of the calling process's namespace.
struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Opens the directory `path` (O_PATH), creating the missing part of it with
// mode 0755; a link that leads to nothing is followed, and that is made.  A
// ".." in the missing part is InvalidArgument.
absl::StatusOr<UniqueFd> MakeDirectoryInRoot(int root, absl::string_view path,
                                             Owner owner);

// Opens the file `path` (O_PATH) of any type but directory, creating an empty
// one (mode 0644) and its parents when it is missing, where links lead to.
absl::StatusOr<UniqueFd> MakeFileInRoot(int root, absl::string_view path,
                                        Owner owner);

// The directory `name` (one component) right below `directory`, created when
// missing; a symlink or another type is FailedPrecondition (catalogue B3).
absl::StatusOr<UniqueFd> MakeRealDirectory(int directory, const char* name,
                                           Owner owner);

// Whether `fd` is a directory.
absl::StatusOr<bool> IsDirectory(int fd);

}  // namespace caisson::kernel
