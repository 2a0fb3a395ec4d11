#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/host_mounts.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"
#include "runtime/mount/hide.h"
#include "runtime/mount/source.h"
#include "runtime/rootfs/overlay.h"

namespace caisson::keeper::steps {
namespace {

constexpr uint64_t kHardened =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

std::string RootPath(const Pod& pod) {
  return absl::StrCat(pod.stage_path(), "/root");
}

absl::StatusOr<UniqueFd> OpenDirectory(const std::string& path) {
  UniqueFd fd(
      open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return fd;
}

// A private tmpfs for the mount points of the set-up, and its "root".
absl::Status MountStage(const Pod& pod) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "711"));
  ASSIGN_OR_RETURN(UniqueFd mount, tmpfs.Mount(kHardened));
  ASSIGN_OR_RETURN(UniqueFd target, OpenDirectory(pod.stage_path()));
  RETURN_IF_ERROR(kernel::AttachMount(mount.get(), target.get()));
  if (mkdir(RootPath(pod).c_str(), 0755) != 0) {
    return ErrnoError("create directory", RootPath(pod));
  }
  return absl::OkStatus();
}

// Mounts a new filesystem of the container's own namespaces at the directory
// `name` below `parent`.
absl::StatusOr<UniqueFd> MountAt(int parent, const char* name,
                                 kernel::NewFilesystem filesystem,
                                 uint64_t attributes) {
  ASSIGN_OR_RETURN(UniqueFd target,
                   kernel::MakeRealDirectory(parent, name, {}));
  ASSIGN_OR_RETURN(UniqueFd mount, filesystem.Mount(attributes));
  RETURN_IF_ERROR(
      Annotate(kernel::AttachMount(mount.get(), target.get()), name));
  return mount;
}

absl::Status MountSysfs(ChildContext& context) {
  // The host's network namespace has the host's sysfs.
  ASSIGN_OR_RETURN(UniqueFd target,
                   kernel::MakeRealDirectory(context.root.get(), "sys", {}));
  const bool writable = context.plan->privileged();
  const uint64_t flags = kHardened | (writable ? 0u : MOUNT_ATTR_RDONLY);
  UniqueFd mount;
  if (context.pod.user.ok() && !context.pod.network.ok()) {
    ASSIGN_OR_RETURN(mount, kernel::CloneTree(AT_FDCWD, "/sys", true));
    kernel::MountAttributes attributes;
    attributes.set = flags;
    attributes.recursive = true;
    RETURN_IF_ERROR(kernel::SetMountAttributes(mount.get(), attributes));
    return kernel::AttachMount(mount.get(), target.get());
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem sysfs,
                   kernel::NewFilesystem::Open("sysfs"));
  ASSIGN_OR_RETURN(mount, sysfs.Mount(flags));
  RETURN_IF_ERROR(kernel::AttachMount(mount.get(), target.get()));
  // The cgroup namespace's view: its root is the container's cgroup.
  ASSIGN_OR_RETURN(kernel::NewFilesystem cgroup,
                   kernel::NewFilesystem::Open("cgroup2"));
  ASSIGN_OR_RETURN(UniqueFd cgroup_mount, cgroup.Mount(flags));
  ASSIGN_OR_RETURN(
      UniqueFd point,
      kernel::OpenInRoot(context.root.get(), "/sys/fs/cgroup", O_PATH));
  return kernel::AttachMount(cgroup_mount.get(), point.get());
}

absl::Status MountProc(ChildContext& context) {
  if (context.pod.user.ok() &&
      context.plan->pid_mode() == v1::ContainerPlan::PID_NODE) {
    // A pid namespace that isn't the pod's: no instance of our own.
    ASSIGN_OR_RETURN(UniqueFd target,
                     kernel::MakeRealDirectory(context.root.get(), "proc", {}));
    ASSIGN_OR_RETURN(context.proc, kernel::CloneTree(AT_FDCWD, "/proc", true));
    return kernel::AttachMount(context.proc.get(), target.get());
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem proc,
                   kernel::NewFilesystem::Open("proc"));
  ASSIGN_OR_RETURN(context.proc, MountAt(context.root.get(), "proc",
                                         std::move(proc), kHardened));
  return absl::OkStatus();
}

absl::Status MountTerminals(int dev) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem devpts,
                   kernel::NewFilesystem::Open("devpts"));
  RETURN_IF_ERROR(devpts.Set("ptmxmode", "0666"));
  RETURN_IF_ERROR(devpts.Set("mode", "0620"));
  // The group tty of all distributions.
  RETURN_IF_ERROR(devpts.Set("gid", "5"));
  return MountAt(dev, "pts", std::move(devpts),
                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
      .status();
}

absl::Status MountQueues(int dev) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem mqueue,
                   kernel::NewFilesystem::Open("mqueue"));
  return MountAt(dev, "mqueue", std::move(mqueue), kHardened).status();
}

}  // namespace

absl::Status EnterHostMounts(ChildContext& context) {
  // The pod's shared memory is mounted in the keepers' namespace only.
  for (const v1::Mount& mount : context.plan->mounts()) {
    if (mount.kind() == v1::Mount::SHM) {
      ASSIGN_OR_RETURN(context.shared_memory,
                       mount::TakeSource(mount, context.pod.shm_path(), -1));
    }
  }
  return keeper::EnterHostMounts();
}

absl::Status TakeSources(ChildContext& context) {
  const Pod& pod = context.pod;
  ASSIGN_OR_RETURN(context.devices, context.plan->host_devices()
                                        ? rootfs::TakeHostDevices()
                                        : rootfs::TakeStandardDevices());
  for (const v1::Device& device : context.plan->devices()) {
    ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(device.host_path()));
    context.devices.push_back({std::move(tree), device.container_path()});
  }
  for (const v1::Mount& mount : context.plan->mounts()) {
    if (mount.kind() == v1::Mount::SHM) {
      context.sources.push_back(std::move(context.shared_memory));
      continue;
    }
    absl::StatusOr<UniqueFd> source =
        mount::TakeSource(mount, pod.shm_path(), pod.map_fd());
    RETURN_IF_ERROR(Annotate(source.status(), mount.target()));
    context.sources.push_back(std::move(source).value());
  }
  return absl::OkStatus();
}

absl::Status DetachFromHostMounts(ChildContext& context) {
  if (unshare(CLONE_NEWNS) != 0) {
    return ErrnoError("make", "mount namespace");
  }
  // Slave: what the host unmounts does not stay busy here.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return ErrnoError("detach", "mounts");
  }
  if (context.plan->privileged()) {
    return absl::OkStatus();
  }
  // Read-only in this copy: a sysfs that is mounted beside it in the pod's
  // user namespace then must be so too, and is locked (mount_namespaces(7),
  // "restrictions on mount namespaces").
  const UniqueFd sysfs(open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!sysfs.ok()) {
    return ErrnoError("open", "/sys");
  }
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  return Annotate(kernel::SetMountAttributes(sysfs.get(), attributes), "/sys");
}

absl::Status MountRoot(ChildContext& context) {
  const v1::ContainerPlan& plan = *context.plan;
  RETURN_IF_ERROR(MountStage(context.pod));
  rootfs::OverlayPlan overlay;
  overlay.layers.assign(plan.layers().begin(), plan.layers().end());
  overlay.upper_directory = plan.upper_directory();
  overlay.work_directory = plan.work_directory();
  overlay.user_namespace = context.pod.map_fd();
  overlay.scratch = context.pod.stage_path();
  ASSIGN_OR_RETURN(UniqueFd root, rootfs::MountOverlay(overlay));
  ASSIGN_OR_RETURN(UniqueFd target, OpenDirectory(RootPath(context.pod)));
  RETURN_IF_ERROR(kernel::AttachMount(root.get(), target.get()));
  context.root = std::move(root);
  for (const char* name : {"proc", "sys"}) {
    RETURN_IF_ERROR(
        kernel::MakeRealDirectory(context.root.get(), name, context.pod.root)
            .status());
  }
  return absl::OkStatus();
}

absl::Status CreateDevices(ChildContext& context) {
  return rootfs::PopulateDev(context.root.get(), context.devices,
                             context.pod.root);
}

absl::Status MountVolumes(ChildContext& context) {
  const v1::ContainerPlan& plan = *context.plan;
  for (int i = 0; i < plan.mounts_size(); ++i) {
    const std::string& path = plan.mounts(i).target();
    const UniqueFd source = std::move(context.sources[static_cast<size_t>(i)]);
    ASSIGN_OR_RETURN(const bool directory, kernel::IsDirectory(source.get()));
    absl::StatusOr<UniqueFd> target =
        directory ? kernel::MakeDirectoryInRoot(context.root.get(), path,
                                                context.pod.root)
                  : kernel::MakeFileInRoot(context.root.get(), path,
                                           context.pod.root);
    RETURN_IF_ERROR(Annotate(target.status(), path));
    RETURN_IF_ERROR(
        Annotate(kernel::AttachMount(source.get(), target->get()), path));
  }
  return absl::OkStatus();
}

absl::Status SealRoot(ChildContext& context) {
  // The working directory is translated to the copy of the mount namespace,
  // which fds are not; by path the pod's ids could not get there.
  if (fchdir(context.root.get()) != 0) {
    return ErrnoError("enter", "root");
  }
  if (!context.plan->read_only_root()) {
    return absl::OkStatus();
  }
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  return kernel::SetMountAttributes(context.root.get(), attributes);
}

absl::Status CloneRoot(ChildContext& context) {
  ASSIGN_OR_RETURN(UniqueFd clone, kernel::CloneTree(AT_FDCWD, ".", true));
  ASSIGN_OR_RETURN(UniqueFd target, OpenDirectory("."));
  RETURN_IF_ERROR(kernel::AttachMount(clone.get(), target.get()));
  context.root = std::move(clone);
  return absl::OkStatus();
}

absl::Status MountKernelFilesystems(ChildContext& context) {
  RETURN_IF_ERROR(MountProc(context));
  RETURN_IF_ERROR(MountSysfs(context));
  ASSIGN_OR_RETURN(UniqueFd dev, kernel::OpenInRoot(context.root.get(), "/dev",
                                                    O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(MountTerminals(dev.get()));
  return MountQueues(dev.get());
}

absl::Status PivotRoot(ChildContext& context) {
  if (fchdir(context.root.get()) != 0) {
    return ErrnoError("enter", "root");
  }
  // pivot_root(2): with both arguments the same, the old root is left on top
  // of the new one, and no directory for it is needed.
  if (syscall(SYS_pivot_root, ".", ".") != 0) {
    return ErrnoError("pivot", "root");
  }
  if (umount2(".", MNT_DETACH) != 0) {
    return ErrnoError("unmount", "old root");
  }
  if (chdir("/") != 0) {
    return ErrnoError("enter", "/");
  }
  context.root.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return context.root.ok() ? absl::OkStatus() : ErrnoError("open", "/");
}

absl::Status HideKernelPaths(ChildContext& context) {
  for (const std::string& path : context.plan->read_only_paths()) {
    RETURN_IF_ERROR(mount::MakeReadOnly(context.root.get(), path));
  }
  mount::Masker masker(context.root.get());
  for (const std::string& path : context.plan->masked_paths()) {
    RETURN_IF_ERROR(masker.Mask(path));
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper::steps
