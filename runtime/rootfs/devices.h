#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/path.h"

namespace caisson::rootfs {

// A device of the host, cloned and detached, and its place below /dev (or
// elsewhere in the root).
struct DeviceSource {
  UniqueFd tree;
  std::string container_path;
};

// The devices every container has: null zero full random urandom tty.
absl::StatusOr<std::vector<DeviceSource>> TakeStandardDevices();

// All device nodes of the host's /dev, for a privileged container; not what
// is mounted below it.
absl::StatusOr<std::vector<DeviceSource>> TakeHostDevices();

// Attaches a tmpfs at /dev of `root` and fills it: the devices as binds,
// the standard links, and the directories pts, shm and mqueue.  `context`:
// SELinux's of the tmpfs, or empty.
absl::Status PopulateDev(int root, const std::vector<DeviceSource>& devices,
                         kernel::Owner owner, const std::string& context);

}  // namespace caisson::rootfs
