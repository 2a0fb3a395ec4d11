#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "runtime/kernel/path.h"

namespace caisson::rootfs {

// The host ids that what is owned by `owner` (host ids) shall have.
using NewOwner = std::function<kernel::Owner(const kernel::Owner& owner)>;

// Changes the owners of what is in `upper`, the upper directory of an overlay:
// through the overlay mounted at `root`, which keeps what it knows of a file,
// and never through what is mounted there.  chown(2) takes the set-user-ID
// bits.  Nobody else may write to either meanwhile.
absl::Status AdoptFiles(const std::string& upper, int root,
                        const NewOwner& new_owner);

}  // namespace caisson::rootfs
