#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/state/v1/state.pb.h"

namespace caisson::ops {

// The host's id of the pod's root; 0 for one with the host's ids.
absl::StatusOr<uid_t> HostRootOf(const state::v1::PodRecord& pod);

// InvalidArgument for an id that the pod's map has no host id for: it would be
// nobody's.
absl::Status CheckIds(const std::vector<uint32_t>& ids,
                      const state::v1::PodRecord& pod);

}  // namespace caisson::ops
