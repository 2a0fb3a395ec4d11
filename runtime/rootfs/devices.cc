#include "runtime/rootfs/devices.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/kernel/credentials.h"
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

absl::StatusOr<UniqueFd> MountTmpfs(kernel::Owner owner,
                                    const std::string& context) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "755"));
  RETURN_IF_ERROR(tmpfs.Set("size", "65536k"));
  RETURN_IF_ERROR(tmpfs.Set("uid", absl::StrCat(owner.uid).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("gid", absl::StrCat(owner.gid).c_str()));
  RETURN_IF_ERROR(tmpfs.SetContext(context));
  return tmpfs.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

absl::Status AddLinks(int dev, kernel::Owner owner) {
  // A third of the system calls that changing each owner takes.
  const kernel::ActingAs acting(owner.uid, owner.gid);
  for (const Link& link : kLinks) {
    if (symlinkat(link.target, dev, link.name) != 0) {
      return ErrnoError("create link", link.name);
    }
  }
  for (const char* name : kDirectories) {
    if (mkdirat(dev, name, 0755) != 0) {
      return ErrnoError("create directory", name);
    }
  }
  return absl::OkStatus();
}

// At "/dev/NAME" of a /dev that is new and ours; any other path, and a name
// taken already, is looked up in the root.
absl::Status AttachDevice(int root, int dev, const DeviceSource& device,
                          kernel::Owner owner) {
  absl::string_view name = device.container_path;
  if (absl::ConsumePrefix(&name, "/dev/") && !absl::StrContains(name, '/') &&
      mknodat(dev, name.data(), S_IFREG | 0644, 0) == 0) {
    return kernel::AttachMountAt(device.tree.get(), dev, name.data());
  }
  ASSIGN_OR_RETURN(UniqueFd target,
                   kernel::MakeFileInRoot(root, device.container_path, owner));
  return kernel::AttachMount(device.tree.get(), target.get());
}

// The host's /dev is trusted, but it changes: what has gone meanwhile is left
// out.  Terminals are the container's own.
absl::Status AddDevicesBelow(const std::string& directory, int depth,
                             std::vector<DeviceSource>& devices) {
  constexpr int kMaxDepth = 8;
  struct stat base = {};
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()),
                                                closedir);
  if (dir == nullptr || fstat(dirfd(dir.get()), &base) != 0 ||
      depth > kMaxDepth) {
    return absl::OkStatus();
  }
  while (const dirent* entry = readdir(dir.get())) {
    const absl::string_view name = entry->d_name;
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat facts = {};
    if (name == "." || name == ".." || path == "/dev/ptmx" ||
        path == "/dev/console" || lstat(path.c_str(), &facts) != 0) {
      continue;
    }
    if (S_ISDIR(facts.st_mode) && facts.st_dev == base.st_dev) {
      RETURN_IF_ERROR(AddDevicesBelow(path, depth + 1, devices));
    } else if (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode)) {
      ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(path));
      devices.push_back({std::move(tree), path});
    }
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

absl::StatusOr<std::vector<DeviceSource>> TakeHostDevices() {
  std::vector<DeviceSource> devices;
  RETURN_IF_ERROR(AddDevicesBelow("/dev", 0, devices));
  return devices;
}

absl::Status PopulateDev(int root, const std::vector<DeviceSource>& devices,
                         kernel::Owner owner, const std::string& context) {
  ASSIGN_OR_RETURN(UniqueFd point,
                   kernel::MakeRealDirectory(root, "dev", owner));
  ASSIGN_OR_RETURN(UniqueFd dev, MountTmpfs(owner, context));
  RETURN_IF_ERROR(kernel::AttachMount(dev.get(), point.get()));
  RETURN_IF_ERROR(AddLinks(dev.get(), owner));
  // Acting as another, and as oneself again, allows it if fs.suid_dumpable is
  // 1.
  RETURN_IF_ERROR(kernel::ForbidDumping());
  for (const DeviceSource& device : devices) {
    RETURN_IF_ERROR(Annotate(AttachDevice(root, dev.get(), device, owner),
                             device.container_path));
  }
  return absl::OkStatus();
}

}  // namespace caisson::rootfs
