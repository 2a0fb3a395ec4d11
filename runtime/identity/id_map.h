#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
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

inline constexpr uint32_t kSlotLength = 65536;
// The kernel's bound on the lines of a map: user_namespaces(7).
inline constexpr size_t kMaxExtents = 340;
// Ids of containers at and above are refused everywhere (catalogue C7).
inline constexpr uint32_t kIdLimit = 2147483648;
// Those of the host are all that the kernel has: a kubelet gives pods ranges
// from anywhere in them.  The one that is left out means "none".
inline constexpr uint32_t kHostIdLimit = 4294967295;

// How ids of a pod are written down on the host: lines of uid_map or gid_map.
// Empty: the host's own ids, each mapped to itself.  A value.
class IdMap {
 public:
  IdMap() = default;

  IdMap(std::vector<IdExtent> extents)  // NOLINT: a map is its extents
      : extents_(std::move(extents)) {}

  // Of a repeated field of messages with container_id, host_id and length, as
  // state.v1, keeper.v1 and the CRI have.
  template <typename Messages>
  static IdMap From(const Messages& messages) {
    std::vector<IdExtent> extents;
    extents.reserve(static_cast<size_t>(messages.size()));
    for (const auto& message : messages) {
      extents.push_back(
          {message.container_id(), message.host_id(), message.length()});
    }
    return extents;
  }

  // Replaces what the repeated field `messages` has.
  template <typename Messages>
  void CopyTo(Messages* messages) const {
    messages->Clear();
    for (const IdExtent& extent : extents_) {
      auto& message = *messages->Add();
      message.set_container_id(extent.container_id);
      message.set_host_id(extent.host_id);
      message.set_length(extent.length);
    }
  }

  bool is_host() const { return extents_.empty(); }

  const std::vector<IdExtent>& extents() const { return extents_; }

  // The host id of `container_id`; NotFound when the map lacks it.
  absl::StatusOr<uint32_t> ToHost(uint32_t container_id) const;
  // The other way round.
  absl::StatusOr<uint32_t> ToContainer(uint32_t host_id) const;

  bool Contains(uint32_t container_id) const;

  // Whether both use a same id of the host.  The host's map does with all.
  bool OverlapsOnHost(const IdMap& other) const;

  // The text that is written to uid_map: user_namespaces(7).
  std::string ToText() const;

  friend bool operator==(const IdMap&, const IdMap&) = default;

 private:
  std::vector<IdExtent> extents_;
};

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
