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
absl::StatusOr<UniqueFd> MountNodes(const std::string& file_context) {
  const std::string place = absl::StrCat("/", kStageNodes);
  if (mkdir(place.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", place);
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "700"));
  RETURN_IF_ERROR(tmpfs.Set("nr_blocks", "1"));
  RETURN_IF_ERROR(tmpfs.SetContext(file_context));
  ASSIGN_OR_RETURN(UniqueFd nodes,
                   tmpfs.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  RETURN_IF_ERROR(kernel::AttachMountAt(nodes.get(), AT_FDCWD, place.c_str()));
  return nodes;
}

// What a device of the request is inside: like the host's, but for its owner.
rootfs::DeviceNode NodeOf(const Pod& pod, const v1::Device& device) {
  rootfs::DeviceNode node;
  node.mode = device.mode();
  node.number = device.number();
  node.owner.uid =
      device.uid() != 0 ? HostId(pod.uids, device.uid()) : device.host_uid();
  node.owner.gid =
      device.gid() != 0 ? HostId(pod.gids, device.gid()) : device.host_gid();
  return node;
}

// A bind of a node of the stage's.
absl::StatusOr<UniqueFd> BindNode(const rootfs::DeviceSource& device, int nodes,
                                  const std::string& name) {
  RETURN_IF_ERROR(Annotate(rootfs::MakeNode(nodes, name.c_str(), *device.node),
                           device.container_path));
  ASSIGN_OR_RETURN(UniqueFd bind,
                   kernel::CloneTree(nodes, name.c_str(), false));
  kernel::MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(bind.get(), attributes));
  return bind;
}

// All that are to be made, where they can be used: the container's own /dev and
// root are nodev.
absl::Status MakeNodes(ChildContext& context) {
  UniqueFd nodes;
  int number = 0;
  for (rootfs::DeviceSource& device : context.devices) {
    if (device.tree.ok()) {
      continue;
    }
    if (!nodes.ok()) {
      ASSIGN_OR_RETURN(nodes, MountNodes(context.plan->file_context()));
    }
    ASSIGN_OR_RETURN(device.tree,
                     BindNode(device, nodes.get(), absl::StrCat(number++)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TakeDevices(ChildContext& context) {
  const v1::ContainerPlan& plan = *context.plan;
  const bool own = !context.pod.user.ok();
  if (plan.host_devices()) {
    context.devices = rootfs::ListHostDevices();
  } else {
    ASSIGN_OR_RETURN(context.devices,
                     rootfs::TakeStandardDevices(own ? rootfs::Nodes::kOwn
                                                     : rootfs::Nodes::kOfHost));
  }
  for (const v1::Device& device : plan.devices()) {
    if (own || device.own_node()) {
      context.devices.push_back(
          {UniqueFd(), device.container_path(), NodeOf(context.pod, device)});
      continue;
    }
    ASSIGN_OR_RETURN(UniqueFd tree, mount::TakeDevice(device.host_path()));
    context.devices.push_back(
        {std::move(tree), device.container_path(), std::nullopt});
  }
  return absl::OkStatus();
}

absl::Status CreateDevices(ChildContext& context) {
  rootfs::DevPlan dev{context.devices, context.pod.root, context.has_nodes(),
                      context.plan->file_context()};
  if (!dev.has_nodes) {
    RETURN_IF_ERROR(MakeNodes(context));
  }
  return rootfs::PopulateDev(context.root.get(), dev);
}

}  // namespace caisson::keeper::steps
