#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/path.h"

namespace caisson::rootfs {

// What a device node is made of: st_mode and st_rdev, and ids of the host.
struct DeviceNode {
  mode_t mode = 0;
  dev_t number = 0;
  kernel::Owner owner;
};

// A device and its place below /dev (or elsewhere in the root): the host's
// node, cloned and detached, or one like it that is to be made.
struct DeviceSource {
  UniqueFd tree;
  std::string container_path;
  std::optional<DeviceNode> node;
};

// Whose nodes a container has.  Root of the host's user namespace could change
// owner and mode of the host's, for all of the machine: it has its own.
enum class Nodes { kOfHost, kOwn };

// The devices every container has: null zero full random urandom tty.
absl::StatusOr<std::vector<DeviceSource>> TakeStandardDevices(Nodes nodes);

// All device nodes of the host's /dev, for a privileged container that has
// nodes of its own; not what is mounted below it.
std::vector<DeviceSource> ListHostDevices();

// Makes it as `name` (one component) of a directory that nobody else can
// change yet; the last word about a name holds.
absl::Status MakeNode(int directory, const char* name, const DeviceNode& node);

// A /dev that is to be made.
struct DevPlan {
  // A device without a tree is made there, which needs has_nodes; the others
  // are binds.
  const std::vector<DeviceSource>& devices;
  kernel::Owner owner;
  // Not nodev: who may make nodes there may use them.
  bool has_nodes = false;
  // SELinux's of the tmpfs, or empty.
  std::string file_context;
};

// Attaches a tmpfs at /dev of `root` and fills it: the devices, the standard
// links, and the directories pts, shm and mqueue.
absl::Status PopulateDev(int root, const DevPlan& plan);

}  // namespace caisson::rootfs
