#include "runtime/identity/id_map.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/base/status.h"

namespace caisson::identity {
namespace {

bool Overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length) {
  return a < b + b_length && b < a + a_length;
}

absl::Status CheckHostRange(uint64_t start, uint64_t length,
                            absl::string_view what) {
  if (start + length > kHostIdLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("map ", what, " ", start, " length ", length,
                     ": reaches beyond id ", kHostIdLimit - 1));
  }
  return absl::OkStatus();
}

std::string Describe(const IdExtent& extent) {
  return absl::StrCat(extent.container_id, ":", extent.host_id, ":",
                      extent.length);
}

absl::Status Refuse(absl::string_view field, const IdExtent& extent,
                    absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, " ", Describe(extent), ": ", cause));
}

absl::Status CheckExtent(const IdExtent& extent, absl::string_view field) {
  if (extent.length == 0) {
    return Refuse(field, extent, "is empty");
  }
  if (uint64_t{extent.container_id} + extent.length > kIdLimit ||
      uint64_t{extent.host_id} + extent.length > kHostIdLimit) {
    return Refuse(field, extent, "reaches beyond the largest id");
  }
  // Root of the host is never anybody in a pod: that is the promise.
  if (extent.host_id == 0) {
    return Refuse(field, extent, "maps id 0 of the host");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<IdExtent>> MakeMap(uint32_t host_start,
                                              std::vector<uint32_t> extra,
                                              uint32_t extra_start) {
  RETURN_IF_ERROR(CheckHostRange(host_start, kSlotLength, "host range"));
  std::sort(extra.begin(), extra.end());
  extra.erase(std::unique(extra.begin(), extra.end()), extra.end());
  extra.erase(extra.begin(),
              std::lower_bound(extra.begin(), extra.end(), kSlotLength));
  if (extra.size() + 1 > kMaxExtents) {
    return absl::InvalidArgumentError(
        absl::StrCat("map ", extra.size(), " ids above ", kSlotLength - 1,
                     ": more than ", kMaxExtents - 1));
  }
  std::vector<IdExtent> map = {{0, host_start, kSlotLength}};
  if (extra.empty()) {
    return map;
  }
  if (extra.back() >= kIdLimit) {
    return absl::InvalidArgumentError(absl::StrCat(
        "map id ", extra.back(), ": is larger than ", kIdLimit - 1));
  }
  RETURN_IF_ERROR(
      CheckHostRange(extra_start, extra.size(), "extra host range"));
  if (Overlap(host_start, kSlotLength, extra_start, extra.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("map extra host range ", extra_start,
                     ": overlaps the host range ", host_start));
  }
  for (uint32_t id : extra) {
    map.push_back({id, extra_start++, 1});
  }
  return map;
}

absl::StatusOr<uint32_t> IdMap::ToHost(uint32_t container_id) const {
  return is_host() ? container_id : identity::ToHost(extents_, container_id);
}

absl::StatusOr<uint32_t> IdMap::ToContainer(uint32_t host_id) const {
  if (is_host()) {
    return host_id;
  }
  for (const IdExtent& extent : extents_) {
    if (host_id >= extent.host_id && host_id - extent.host_id < extent.length) {
      return extent.container_id + (host_id - extent.host_id);
    }
  }
  return absl::NotFoundError(
      absl::StrCat("map host id ", host_id, ": none of the pod's"));
}

bool IdMap::Contains(uint32_t container_id) const {
  return ToHost(container_id).ok();
}

bool IdMap::OverlapsOnHost(const IdMap& other) const {
  if (is_host() || other.is_host()) {
    return true;
  }
  for (const IdExtent& a : extents_) {
    for (const IdExtent& b : other.extents_) {
      if (Overlap(a.host_id, a.length, b.host_id, b.length)) {
        return true;
      }
    }
  }
  return false;
}

std::string IdMap::ToText() const {
  std::string text;
  for (const IdExtent& extent : extents_) {
    absl::StrAppend(&text, extent.container_id, " ", extent.host_id, " ",
                    extent.length, "\n");
  }
  return text;
}

absl::StatusOr<uint32_t> ToHost(const std::vector<IdExtent>& map,
                                uint32_t container_id) {
  for (const IdExtent& extent : map) {
    if (container_id >= extent.container_id &&
        container_id - extent.container_id < extent.length) {
      return extent.host_id + (container_id - extent.container_id);
    }
  }
  return absl::NotFoundError(
      absl::StrCat("map id ", container_id, ": outside the pod's ids"));
}

absl::Status CheckMap(const std::vector<IdExtent>& map,
                      absl::string_view field) {
  if (map.empty() || map.size() > kMaxExtents) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": has ", map.size(), " extents, not 1 to ", kMaxExtents));
  }
  bool has_root = false;
  for (size_t i = 0; i < map.size(); ++i) {
    RETURN_IF_ERROR(CheckExtent(map[i], field));
    has_root = has_root || map[i].container_id == 0;
    for (size_t j = 0; j < i; ++j) {
      if (Overlap(map[i].container_id, map[i].length, map[j].container_id,
                  map[j].length)) {
        return Refuse(field, map[i], "container ids are mapped twice");
      }
      if (Overlap(map[i].host_id, map[i].length, map[j].host_id,
                  map[j].length)) {
        return Refuse(field, map[i], "host ids are used twice");
      }
    }
  }
  if (!has_root) {
    return Refuse(field, map[0], "container id 0 is not mapped");
  }
  return absl::OkStatus();
}

}  // namespace caisson::identity
