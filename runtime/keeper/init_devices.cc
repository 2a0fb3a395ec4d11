#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/stage.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/mount/source.h"
#include "runtime/rootfs/devices.h"

namespace caisson::keeper::steps {
namespace {

// A filesystem of the host's root in the stage, which is not nodev: where
// nodes are made, in reach of nobody.
absl::StatusOr<UniqueFd> MountNodes() {
  const std::string place = absl::StrCat("/", kStageNodes);
  if (mkdir(place.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", place);
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "700"));
  RETURN_IF_ERROR(tmpfs.Set("nr_blocks", "1"));
  ASSIGN_OR_RETURN(UniqueFd nodes,
                   tmpfs.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  RETURN_IF_ERROR(kernel::AttachMountAt(nodes.get(), AT_FDCWD, place.c_str()));
  return nodes;
}

// A bind of a node like the host's, but for its owner.
absl::StatusOr<UniqueFd> MakeNode(const ChildContext& context,
                                  const v1::Device& device, int nodes,
                                  const std::string& name) {
  const Pod& pod = context.pod;
  const uid_t owner =
      device.uid() != 0 ? HostId(pod.uids, device.uid()) : device.host_uid();
  const gid_t group =
      device.gid() != 0 ? HostId(pod.gids, device.gid()) : device.host_gid();
  if (mknodat(nodes, name.c_str(), device.mode(), device.number()) != 0 ||
      fchownat(nodes, name.c_str(), owner, group, AT_SYMLINK_NOFOLLOW) != 0 ||
      // The umask has no say in it.
      fchmodat(nodes, name.c_str(), device.mode() & 0777, 0) != 0) {
    return ErrnoError("make device", device.host_path());
  }
  ASSIGN_OR_RETURN(UniqueFd bind,
                   kernel::CloneTree(nodes, name.c_str(), false));
  kernel::MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(bind.get(), attributes));
  return bind;
}

}  // namespace

absl::Status TakeDevices(ChildContext& context) {
  const v1::ContainerPlan& plan = *context.plan;
  ASSIGN_OR_RETURN(context.devices, plan.host_devices()
                                        ? rootfs::TakeHostDevices()
                                        : rootfs::TakeStandardDevices());
  for (const v1::Device& device : plan.devices()) {
    if (device.own_node()) {
      continue;
    }
    ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(device.host_path()));
    context.devices.push_back({std::move(tree), device.container_path()});
  }
  return absl::OkStatus();
}

absl::Status CreateDevices(ChildContext& context) {
  UniqueFd nodes;
  for (const v1::Device& device : context.plan->devices()) {
    if (!device.own_node()) {
      continue;
    }
    if (!nodes.ok()) {
      ASSIGN_OR_RETURN(nodes, MountNodes());
    }
    ASSIGN_OR_RETURN(UniqueFd tree,
                     MakeNode(context, device, nodes.get(),
                              absl::StrCat(context.devices.size())));
    context.devices.push_back({std::move(tree), device.container_path()});
  }
  return rootfs::PopulateDev(context.root.get(), context.devices,
                             context.pod.root, context.plan->file_context());
}

}  // namespace caisson::keeper::steps
