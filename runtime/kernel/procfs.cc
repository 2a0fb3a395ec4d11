#include "runtime/kernel/procfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/base/status.h"
#include "runtime/kernel/path.h"

namespace caisson::kernel {
namespace {

// PROC_ROOT_INO of the kernel: a directory of a procfs is no procfs.
constexpr ino_t kRootInode = 1;

absl::StatusOr<UniqueFd> OpenBelow(int proc, absl::string_view path,
                                   int flags) {
  struct statfs filesystem = {};
  struct stat facts = {};
  if (fstatfs(proc, &filesystem) != 0 || fstat(proc, &facts) != 0) {
    return ErrnoError("check", "/proc");
  }
  if (filesystem.f_type != PROC_SUPER_MAGIC || facts.st_ino != kRootInode) {
    return absl::FailedPreconditionError("check /proc: not a procfs");
  }
  return OpenBeneath(proc, path, flags);
}

}  // namespace

absl::StatusOr<UniqueFd> OpenProcFile(absl::string_view path, int flags) {
  const UniqueFd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc.ok()) {
    return ErrnoError("open", "/proc");
  }
  return OpenBelow(proc.get(), path, flags);
}

absl::StatusOr<UniqueFd> OpenProcFileOf(int root, absl::string_view path,
                                        int flags) {
  ASSIGN_OR_RETURN(const UniqueFd proc,
                   OpenInRoot(root, "/proc", O_PATH | O_DIRECTORY));
  return OpenBelow(proc.get(), path, flags);
}

}  // namespace caisson::kernel
