#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/host_mounts.h"
#include "runtime/keeper/init_volumes.h"
#include "runtime/keeper/stage.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/mount_table.h"
#include "runtime/kernel/path.h"
#include "runtime/mount/hide.h"
#include "runtime/mount/source.h"
#include "runtime/rootfs/overlay.h"

namespace caisson::keeper::steps {
namespace {

constexpr uint64_t kHardened =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// Attaches `mount` at the directory `name` of the stage.
absl::Status AttachAt(int mount, const std::string& name) {
  return Annotate(kernel::AttachMountAt(mount, AT_FDCWD, name.c_str()), name);
}

absl::StatusOr<std::string> AttachAtNew(int layer, std::string name) {
  RETURN_IF_ERROR(MakeStagePoint(name, true));
  RETURN_IF_ERROR(AttachAt(layer, name));
  return name;
}

absl::StatusOr<std::vector<UniqueFd>> TakeLayers(
    const google::protobuf::RepeatedPtrField<std::string>& paths, int map) {
  std::vector<UniqueFd> layers;
  for (const std::string& path : paths) {
    absl::StatusOr<UniqueFd> layer = rootfs::TakeLayer(path, map);
    RETURN_IF_ERROR(Annotate(layer.status(), absl::StrCat("layer ", path)));
    layers.push_back(std::move(layer).value());
  }
  return layers;
}

absl::Status TakeRoot(ChildContext& context) {
  const v1::ContainerPlan& plan = *context.plan;
  ASSIGN_OR_RETURN(context.layers,
                   TakeLayers(plan.layers(), context.pod.map_fd()));
  ASSIGN_OR_RETURN(
      context.home,
      kernel::CloneTree(AT_FDCWD, plan.home_directory().c_str(), false));
  kernel::MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  return kernel::SetMountAttributes(context.home.get(), attributes);
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
  ASSIGN_OR_RETURN(UniqueFd target,
                   kernel::MakeRealDirectory(context.root.get(), "sys", {}));
  // In a user namespace the stage's read-only one forbids another.
  const bool writable = context.plan->privileged() && !context.pod.user.ok();
  const uint64_t flags = kHardened | (writable ? 0u : MOUNT_ATTR_RDONLY);
  UniqueFd mount;
  if (context.pod.user.ok() && !context.pod.network.ok()) {
    // A network namespace that isn't the pod's: no instance of our own.
    ASSIGN_OR_RETURN(mount, kernel::CloneTree(AT_FDCWD, "/sys", true));
  } else {
    ASSIGN_OR_RETURN(kernel::NewFilesystem sysfs,
                     kernel::NewFilesystem::Open("sysfs"));
    ASSIGN_OR_RETURN(mount, sysfs.Mount(flags));
  }
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

// What is mounted below such a volume comes up on the host, whose terminals
// would be out of reach.  What is below is the host's own then.
bool HostSharesDev(const v1::ContainerPlan& plan) {
  return std::any_of(plan.mounts().begin(), plan.mounts().end(),
                     [](const v1::Mount& mount) {
                       return mount.target() == "/dev" &&
                              mount.propagation() == v1::Mount::BIDIRECTIONAL;
                     });
}

absl::Status MountTerminals(int dev, const std::string& context) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem devpts,
                   kernel::NewFilesystem::Open("devpts"));
  RETURN_IF_ERROR(devpts.Set("ptmxmode", "0666"));
  RETURN_IF_ERROR(devpts.Set("mode", "0620"));
  // The group tty of all distributions.
  RETURN_IF_ERROR(devpts.Set("gid", "5"));
  RETURN_IF_ERROR(devpts.SetContext(context));
  return MountAt(dev, "pts", std::move(devpts),
                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
      .status();
}

absl::Status MountQueues(int dev) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem mqueue,
                   kernel::NewFilesystem::Open("mqueue"));
  return MountAt(dev, "mqueue", std::move(mqueue), kHardened).status();
}

// An image without layers: a directory of the pod's root, with nothing in it.
absl::StatusOr<UniqueFd> MountNothing(const ChildContext& context) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "755"));
  RETURN_IF_ERROR(tmpfs.Set("nr_inodes", "2"));
  RETURN_IF_ERROR(tmpfs.Set("nr_blocks", "1"));
  RETURN_IF_ERROR(tmpfs.Set("uid", absl::StrCat(context.pod.root.uid).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("gid", absl::StrCat(context.pod.root.gid).c_str()));
  RETURN_IF_ERROR(tmpfs.SetContext(context.plan->file_context()));
  return tmpfs.Mount(MOUNT_ATTR_RDONLY | kHardened);
}

// The layers of a volume, attached in the stage one upon the other.
absl::StatusOr<UniqueFd> MountLayers(ChildContext& context,
                                     std::vector<UniqueFd>& layers,
                                     const std::string& stem) {
  if (layers.empty()) {
    ASSIGN_OR_RETURN(UniqueFd nothing, MountNothing(context));
    RETURN_IF_ERROR(AttachAtNew(nothing.get(), stem).status());
    return nothing;
  }
  rootfs::OverlayPlan overlay;
  overlay.file_context = context.plan->file_context();
  for (const UniqueFd& layer : layers) {
    ASSIGN_OR_RETURN(
        std::string name,
        AttachAtNew(layer.get(),
                    absl::StrCat(stem, "-", overlay.layers.size())));
    overlay.layers.push_back(std::move(name));
  }
  if (overlay.layers.size() == 1 && !overlay.file_context.empty()) {
    // A layer is of many pods, an overlay has a context of its own; it needs
    // two.
    RETURN_IF_ERROR(MakeStagePoint(kStageEmpty, true));
    overlay.layers.push_back(kStageEmpty);
  }
  if (overlay.layers.size() == 1) {
    return std::move(layers[0]);
  }
  ASSIGN_OR_RETURN(UniqueFd whole, rootfs::MountReadOnlyOverlay(overlay));
  RETURN_IF_ERROR(AttachAtNew(whole.get(), stem).status());
  return whole;
}

// The volume of number `index`, ready to be attached.  One of an image is put
// together in the stage: an overlay is made of attached mounts only.
absl::StatusOr<mount::Source> VolumeSource(ChildContext& context, int index) {
  const auto image = context.image_sources.find(index);
  if (image == context.image_sources.end()) {
    return std::move(context.sources[static_cast<size_t>(index)]);
  }
  if (chdir("/") != 0) {
    return ErrnoError("enter", "stage");
  }
  const std::string stem = absl::StrCat(kStageVolume, index);
  ASSIGN_OR_RETURN(const UniqueFd whole,
                   MountLayers(context, image->second, stem));
  const std::string& path = context.plan->mounts(index).sub_path();
  ASSIGN_OR_RETURN(
      const UniqueFd part,
      kernel::OpenInRoot(whole.get(), path.empty() ? "." : path, O_PATH));
  mount::Source volume;
  ASSIGN_OR_RETURN(volume.tree, kernel::CloneTreeAt(part.get(), false));
  kernel::MountAttributes attributes;
  // Programs of it may be run, as the CRI's own tests do.
  attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(volume.tree.get(), attributes));
  return volume;
}

// The volume's content may be a container's: nothing leaves the volume.
absl::Status AttachParts(const mount::Source& volume) {
  for (const mount::Source::Part& part : volume.parts) {
    const absl::StatusOr<UniqueFd> point =
        kernel::OpenInRoot(volume.tree.get(), part.path, O_PATH);
    RETURN_IF_ERROR(Annotate(point.status(), part.path));
    RETURN_IF_ERROR(Annotate(kernel::AttachMount(part.tree.get(), point->get()),
                             part.path));
  }
  return absl::OkStatus();
}

// A directory of the root as a mount of its own, which seal-root leaves
// writable: what the image has there shows, and what is written goes where
// all goes that the container writes.  Nothing is copied, and no path of the
// image is followed but inside the root (CVE-2022-23648).
absl::Status MountRootPart(ChildContext& context, const v1::Mount& mount) {
  const int root = context.root.get();
  ASSIGN_OR_RETURN(
      const UniqueFd point,
      kernel::MakeDirectoryInRoot(root, mount.target(), context.pod.root));
  ASSIGN_OR_RETURN(const uint64_t root_mount, kernel::MountIdOf(root));
  ASSIGN_OR_RETURN(const uint64_t point_mount, kernel::MountIdOf(point.get()));
  if (root_mount != point_mount) {
    // /dev by a link, or a part within another one: writable already.
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const FileId whole, Identify(root));
  ASSIGN_OR_RETURN(const FileId part_id, Identify(point.get()));
  if (part_id == whole) {
    return absl::FailedPreconditionError("a link of the image to its root");
  }
  ASSIGN_OR_RETURN(UniqueFd part, kernel::CloneTreeAt(point.get(), false));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(part.get(), attributes));
  return kernel::AttachMount(part.get(), point.get());
}

// What the image has there may be anything.
absl::Status MakeRootDirectory(const ChildContext& context,
                               const std::string& path) {
  const int root = context.root.get();
  const absl::Status found =
      kernel::OpenInRoot(root, path, O_PATH | O_NOFOLLOW).status();
  return absl::IsNotFound(found)
             ? kernel::MakeDirectoryInRoot(root, path, context.pod.root)
                   .status()
             : absl::OkStatus();
}

absl::Status MountVolume(ChildContext& context, int index) {
  const std::string& path = context.plan->mounts(index).target();
  if (context.plan->mounts(index).kind() == v1::Mount::ROOT_PART) {
    return Annotate(MountRootPart(context, context.plan->mounts(index)), path);
  }
  if (context.plan->mounts(index).kind() == v1::Mount::ROOT_DIRECTORY) {
    return Annotate(MakeRootDirectory(context, path), path);
  }
  const absl::StatusOr<mount::Source> source = VolumeSource(context, index);
  RETURN_IF_ERROR(Annotate(source.status(), path));
  const int tree = source->tree.get();
  ASSIGN_OR_RETURN(const bool directory, kernel::IsDirectory(tree));
  ASSIGN_OR_RETURN(context.volumes[index], Identify(tree));
  absl::StatusOr<UniqueFd> target =
      directory
          ? kernel::MakeDirectoryInRoot(context.root.get(), path,
                                        context.pod.root)
          : kernel::MakeFileInRoot(context.root.get(), path, context.pod.root);
  RETURN_IF_ERROR(Annotate(target.status(), path));
  RETURN_IF_ERROR(Annotate(kernel::AttachMount(tree, target->get()), path));
  return Annotate(AttachParts(*source), path);
}

void Note(const v1::Mount& mount, const mount::Source& source,
          v1::ReadBack& read) {
  v1::MappedMount& facts = *read.add_mounts();
  facts.set_target(mount.target());
  facts.set_mapped(source.mapped);
  facts.mutable_unmapped_below()->Assign(source.unmapped_below.begin(),
                                         source.unmapped_below.end());
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
  for (const v1::Mount& mount : context.plan->mounts()) {
    if (mount.kind() == v1::Mount::SHM) {
      context.sources.push_back(std::move(context.shared_memory));
      continue;
    }
    if (mount.kind() == v1::Mount::ROOT_PART ||
        mount.kind() == v1::Mount::ROOT_DIRECTORY) {
      context.sources.emplace_back();
      continue;
    }
    if (mount.kind() == v1::Mount::IMAGE) {
      ASSIGN_OR_RETURN(
          context.image_sources[static_cast<int>(context.sources.size())],
          TakeLayers(mount.layers(), pod.map_fd()));
      context.sources.emplace_back();
      continue;
    }
    absl::StatusOr<mount::Source> source = mount::TakeSource(
        mount, pod.shm_path(), pod.map_fd(), context.plan->unmappable_advice());
    RETURN_IF_ERROR(Annotate(source.status(), mount.target()));
    Note(mount, *source, context.read_back);
    context.sources.push_back(std::move(source).value());
  }
  return TakeRoot(context);
}

absl::Status EnterStage(ChildContext& /*context*/) {
  return EnterStageCopy();
}

absl::Status MountRoot(ChildContext& context) {
  rootfs::OverlayPlan overlay;
  for (const UniqueFd& layer : context.layers) {
    ASSIGN_OR_RETURN(
        std::string name,
        AttachAtNew(layer.get(),
                    absl::StrCat(kStageLayer, overlay.layers.size())));
    overlay.layers.push_back(std::move(name));
  }
  RETURN_IF_ERROR(AttachAt(context.home.get(), kStageHome));
  overlay.home = kStageHome;
  overlay.file_context = context.plan->file_context();
  overlay.has_nodes = context.has_nodes();
  ASSIGN_OR_RETURN(context.root, rootfs::MountOverlay(overlay));
  RETURN_IF_ERROR(AttachAt(context.root.get(), absl::StrCat("/", kStageRoot)));
  for (const char* name : {"proc", "sys"}) {
    RETURN_IF_ERROR(
        kernel::MakeRealDirectory(context.root.get(), name, context.pod.root)
            .status());
  }
  return absl::OkStatus();
}

absl::Status MountVolumes(ChildContext& context) {
  for (int i = 0; i < context.plan->mounts_size(); ++i) {
    RETURN_IF_ERROR(MountVolume(context, i));
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
  // The last moment at which one that the image lacks can be made.  What
  // can't, as on a volume that is read-only, is said when it is entered.
  [[maybe_unused]] const absl::Status made =
      kernel::MakeDirectoryInRoot(context.root.get(),
                                  context.process.working_directory(),
                                  context.pod.root)
          .status();
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  return kernel::SetMountAttributes(context.root.get(), attributes);
}

absl::Status CloneRoot(ChildContext& context) {
  ASSIGN_OR_RETURN(UniqueFd clone, kernel::CloneTree(AT_FDCWD, ".", true));
  const UniqueFd target(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", "root");
  }
  // All but the clone goes with the old root, and a volume that is shared with
  // the host must not take along what is mounted below it there.
  RETURN_IF_ERROR(kernel::SetPropagation(MS_PRIVATE));
  RETURN_IF_ERROR(kernel::AttachMount(clone.get(), target.get()));
  context.root = std::move(clone);
  return absl::OkStatus();
}

absl::Status MountKernelFilesystems(ChildContext& context) {
  ASSIGN_OR_RETURN(const std::vector<LiftedVolume> lifted,
                   LiftVolumes(context));
  RETURN_IF_ERROR(MountProc(context));
  RETURN_IF_ERROR(MountSysfs(context));
  RETURN_IF_ERROR(PutBackVolumes(context, lifted));
  if (HostSharesDev(*context.plan)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(UniqueFd dev, kernel::OpenInRoot(context.root.get(), "/dev",
                                                    O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(MountTerminals(dev.get(), context.plan->file_context()));
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
