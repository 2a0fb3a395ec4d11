#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/network/cni.h"

namespace caisson::network {
namespace {

absl::StatusOr<UniqueFd> MakePinFile(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(open(path.c_str(), kFlags, 0444));
  if (!fd.ok() && errno == ENOENT) {
    const std::string parent = path.substr(0, path.rfind('/'));
    if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError("create", parent);
    }
    fd.reset(open(path.c_str(), kFlags, 0444));
  }
  if (!fd.ok()) {
    return ErrnoError("create", path);
  }
  return fd;
}

}  // namespace

absl::Status PinNamespace(int netns, const std::string& path) {
  if (ioctl(netns, NS_GET_NSTYPE) != CLONE_NEWNET) {
    return absl::InvalidArgumentError(
        absl::StrCat("pin ", path, ": not a network namespace"));
  }
  ASSIGN_OR_RETURN(UniqueFd file, MakePinFile(path));
  absl::StatusOr<UniqueFd> mount = kernel::CloneTreeAt(netns, false);
  absl::Status status = mount.status();
  if (status.ok()) {
    status = kernel::AttachMount(mount->get(), file.get());
  }
  if (!status.ok()) {
    unlink(path.c_str());
    return Annotate(status, absl::StrCat("pin ", path));
  }
  return absl::OkStatus();
}

absl::Status UnpinNamespace(const std::string& path) {
  // Until nothing is mounted: a retried creation may have pinned twice.
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) {
    return ErrnoError("unmount", path);
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  return absl::OkStatus();
}

}  // namespace caisson::network
