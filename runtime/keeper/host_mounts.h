#pragma once

#include "absl/status/status.h"

// The host's mount namespace, where volumes and layers are found as they are
// now.  Keepers live in one of their own; its copy of the host's mounts is
// kept current by propagation only where the host's root is shared.
namespace caisson::keeper {

// Takes hold of the current one; before leaving it, once.
absl::Status HoldHostMounts();

// Enters it.  In a child.
absl::Status EnterHostMounts();

}  // namespace caisson::keeper
