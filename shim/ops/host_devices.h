#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/cgroup/device_filter.h"

namespace caisson::ops {

// Fills in what the host says of the devices that a plan names: number, type,
// mode and owner.  A device whose path on the host is a directory stands for
// all device nodes below it, at the same names below its path in the
// container: no links, and neither directories nor a file that would be
// another's (pts, shm, mqueue, fd, the console and what LXC and udev keep).
// Such a directory may have none.
//
// Returns what the container may do with them, on top of what all may.
// InvalidArgument: a path is neither, or leads to more than 4096 nodes.  Looks
// at the host's files, follows links in the path that is named.
absl::StatusOr<std::vector<cgroup::DeviceRule>> ResolveDevices(
    keeper::v1::ContainerPlan& plan);

}  // namespace caisson::ops
