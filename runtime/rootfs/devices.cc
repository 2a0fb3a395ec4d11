#include "runtime/rootfs/devices.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/directory.h"
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

absl::StatusOr<UniqueFd> MountTmpfs(const DevPlan& plan) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "755"));
  RETURN_IF_ERROR(tmpfs.Set("size", "65536k"));
  RETURN_IF_ERROR(tmpfs.Set("uid", absl::StrCat(plan.owner.uid).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("gid", absl::StrCat(plan.owner.gid).c_str()));
  RETURN_IF_ERROR(tmpfs.SetContext(plan.file_context));
  return tmpfs.Mount(MOUNT_ATTR_NOSUID |
                     (plan.has_nodes ? 0u : MOUNT_ATTR_NODEV));
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

// NAME of "/dev/NAME"; empty for any other path.
absl::string_view NameInDev(absl::string_view path) {
  return absl::ConsumePrefix(&path, "/dev/") && !absl::StrContains(path, '/')
             ? path
             : absl::string_view();
}

absl::Status MakeDevice(int root, int dev, const DeviceSource& device,
                        kernel::Owner owner) {
  const std::string& path = device.container_path;
  const absl::string_view name = NameInDev(path);
  if (!name.empty()) {
    return MakeNode(dev, name.data(), *device.node);
  }
  const size_t slash = path.rfind('/');
  ASSIGN_OR_RETURN(
      const UniqueFd parent,
      kernel::MakeDirectoryInRoot(root, path.substr(0, slash), owner));
  return MakeNode(parent.get(), path.c_str() + slash + 1, *device.node);
}

// At "/dev/NAME" of a /dev that is new and ours; any other path, and a name
// taken already, is looked up in the root.
absl::Status AttachDevice(int root, int dev, const DeviceSource& device,
                          kernel::Owner owner) {
  if (!device.tree.ok()) {
    return MakeDevice(root, dev, device, owner);
  }
  const absl::string_view name = NameInDev(device.container_path);
  if (!name.empty() && mknodat(dev, name.data(), S_IFREG | 0644, 0) == 0) {
    return kernel::AttachMountAt(device.tree.get(), dev, name.data());
  }
  ASSIGN_OR_RETURN(UniqueFd target,
                   kernel::MakeFileInRoot(root, device.container_path, owner));
  return kernel::AttachMount(device.tree.get(), target.get());
}

DeviceNode NodeLike(const struct stat& facts) {
  return {facts.st_mode, facts.st_rdev, {facts.st_uid, facts.st_gid}};
}

// The host's /dev is trusted, but it changes: what has gone meanwhile is left
// out.  Terminals are the container's own.
void AddDevicesBelow(const std::string& directory, int depth,
                     std::vector<DeviceSource>& devices) {
  constexpr int kMaxDepth = 8;
  struct stat base = {};
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory);
  if (!entries.ok() || lstat(directory.c_str(), &base) != 0 ||
      depth > kMaxDepth) {
    return;
  }
  for (const DirectoryEntry& entry : *entries) {
    const std::string path = absl::StrCat(directory, "/", entry.name);
    struct stat facts = {};
    if (path == "/dev/ptmx" || path == "/dev/console" ||
        lstat(path.c_str(), &facts) != 0) {
      continue;
    }
    if (S_ISDIR(facts.st_mode) && facts.st_dev == base.st_dev) {
      AddDevicesBelow(path, depth + 1, devices);
    } else if (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode)) {
      devices.push_back({UniqueFd(), path, NodeLike(facts)});
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<DeviceSource>> TakeStandardDevices(Nodes nodes) {
  std::vector<DeviceSource> devices;
  for (const char* path : kStandardDevices) {
    if (nodes == Nodes::kOfHost) {
      ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(path));
      devices.push_back({std::move(tree), path, std::nullopt});
      continue;
    }
    struct stat facts = {};
    if (stat(path, &facts) != 0) {
      return ErrnoError("stat", path);
    }
    if (!S_ISCHR(facts.st_mode)) {
      return absl::FailedPreconditionError(
          absl::StrCat("take device ", path, ": not a device"));
    }
    devices.push_back({UniqueFd(), path, NodeLike(facts)});
  }
  return devices;
}

std::vector<DeviceSource> ListHostDevices() {
  std::vector<DeviceSource> devices;
  AddDevicesBelow("/dev", 0, devices);
  return devices;
}

absl::Status MakeNode(int directory, const char* name, const DeviceNode& node) {
  int made = mknodat(directory, name, node.mode, node.number);
  if (made != 0 && errno == EEXIST && unlinkat(directory, name, 0) == 0) {
    made = mknodat(directory, name, node.mode, node.number);
  }
  if (made != 0 ||
      fchownat(directory, name, node.owner.uid, node.owner.gid,
               AT_SYMLINK_NOFOLLOW) != 0 ||
      // The umask has no say in it.
      fchmodat(directory, name, node.mode & 07777, 0) != 0) {
    return ErrnoError("make device", name);
  }
  return absl::OkStatus();
}

absl::Status PopulateDev(int root, const DevPlan& plan) {
  const kernel::Owner owner = plan.owner;
  ASSIGN_OR_RETURN(UniqueFd point,
                   kernel::MakeRealDirectory(root, "dev", owner));
  ASSIGN_OR_RETURN(UniqueFd dev, MountTmpfs(plan));
  RETURN_IF_ERROR(kernel::AttachMount(dev.get(), point.get()));
  RETURN_IF_ERROR(AddLinks(dev.get(), owner));
  // Acting as another, and as oneself again, allows it if fs.suid_dumpable is
  // 1.
  RETURN_IF_ERROR(kernel::ForbidDumping());
  for (const DeviceSource& device : plan.devices) {
    RETURN_IF_ERROR(Annotate(AttachDevice(root, dev.get(), device, owner),
                             device.container_path));
  }
  return absl::OkStatus();
}

}  // namespace caisson::rootfs
