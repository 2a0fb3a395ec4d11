#include "runtime/rootfs/devices.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/mount/source.h"

namespace caisson::rootfs {
namespace {

constexpr const char* kStandardDevices[] = {"/dev/null",    "/dev/zero",
                                            "/dev/full",    "/dev/random",
                                            "/dev/urandom", "/dev/tty"};

struct Link {
  const char* name;
  const char* target;
};

constexpr Link kLinks[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
    {"core", "/proc/kcore"},       {"ptmx", "pts/ptmx"},
};

constexpr const char* kDirectories[] = {"pts", "shm", "mqueue"};

absl::StatusOr<UniqueFd> MountTmpfs(kernel::Owner owner) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "755"));
  RETURN_IF_ERROR(tmpfs.Set("size", "65536k"));
  RETURN_IF_ERROR(tmpfs.Set("uid", absl::StrCat(owner.uid).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("gid", absl::StrCat(owner.gid).c_str()));
  return tmpfs.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

absl::Status AddLinks(int dev, kernel::Owner owner) {
  for (const Link& link : kLinks) {
    if (symlinkat(link.target, dev, link.name) != 0 ||
        fchownat(dev, link.name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) !=
            0) {
      return ErrnoError("create link", link.name);
    }
  }
  for (const char* name : kDirectories) {
    RETURN_IF_ERROR(kernel::MakeRealDirectory(dev, name, owner).status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<DeviceSource>> TakeStandardDevices() {
  std::vector<DeviceSource> devices;
  for (const char* path : kStandardDevices) {
    ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(path));
    devices.push_back({std::move(tree), path});
  }
  return devices;
}

absl::Status PopulateDev(int root, const std::vector<DeviceSource>& devices,
                         kernel::Owner owner) {
  ASSIGN_OR_RETURN(UniqueFd point,
                   kernel::MakeRealDirectory(root, "dev", owner));
  ASSIGN_OR_RETURN(UniqueFd dev, MountTmpfs(owner));
  RETURN_IF_ERROR(kernel::AttachMount(dev.get(), point.get()));
  RETURN_IF_ERROR(AddLinks(dev.get(), owner));
  for (const DeviceSource& device : devices) {
    ASSIGN_OR_RETURN(UniqueFd target, kernel::MakeFileInRoot(
                                          root, device.container_path, owner));
    RETURN_IF_ERROR(
        Annotate(kernel::AttachMount(device.tree.get(), target.get()),
                 device.container_path));
  }
  return absl::OkStatus();
}

}  // namespace caisson::rootfs
