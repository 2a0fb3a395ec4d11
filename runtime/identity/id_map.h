#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::identity {

// One line of uid_map: user_namespaces(7).
struct IdExtent {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t length = 0;

  friend bool operator==(const IdExtent&, const IdExtent&) = default;
};

// The ids of a pod.  Empty extents: the host's user namespace.
struct IdMaps {
  std::vector<IdExtent> uids;
  std::vector<IdExtent> gids;

  bool is_host() const { return uids.empty() && gids.empty(); }
};

inline constexpr uint32_t kSlotLength = 65536;
// The kernel's bound on the lines of a map: user_namespaces(7).
inline constexpr size_t kMaxExtents = 340;
// Ids of containers at and above are refused everywhere (catalogue C7).
inline constexpr uint32_t kIdLimit = 2147483648;
// Those of the host are all that the kernel has: a kubelet gives pods ranges
// from anywhere in them.  The one that is left out means "none".
inline constexpr uint32_t kHostIdLimit = 4294967295;

// Maps container ids 0..65535 to `host_start`.. and each of `extra` ids (those
// at or above 65536; sorted and made unique here) to one id behind the slot's
// first 65536, taken from `extra_start`...  InvalidArgument when there are too
// many extents, a container id is at or above kIdLimit, or one of the host at
// or above kHostIdLimit.
absl::StatusOr<std::vector<IdExtent>> MakeMap(uint32_t host_start,
                                              std::vector<uint32_t> extra,
                                              uint32_t extra_start);

// The host id of `container_id`; NotFound when the map lacks it.
absl::StatusOr<uint32_t> ToHost(const std::vector<IdExtent>& map,
                                uint32_t container_id);

// Checks a map that a client gave: no empty or overflowing extent, no overlap
// on either side, container id 0 mapped, host id 0 not, at most kMaxExtents.
// InvalidArgument names `field` and the value.
absl::Status CheckMap(const std::vector<IdExtent>& map,
                      absl::string_view field);

}  // namespace caisson::identity
