#include "shim/ops/pod_ids.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace caisson::ops {
namespace {

std::vector<identity::IdExtent> MapOf(const state::v1::PodRecord& pod) {
  std::vector<identity::IdExtent> map;
  for (const state::v1::IdExtent& extent : pod.uids()) {
    map.push_back({extent.container_id(), extent.host_id(), extent.length()});
  }
  return map;
}

}  // namespace

absl::StatusOr<uid_t> HostRootOf(const state::v1::PodRecord& pod) {
  return pod.uids_size() == 0 ? absl::StatusOr<uid_t>(0)
                              : identity::ToHost(MapOf(pod), 0);
}

absl::Status CheckIds(const std::vector<uint32_t>& ids,
                      const state::v1::PodRecord& pod) {
  if (pod.uids_size() == 0) {
    return absl::OkStatus();
  }
  const std::vector<identity::IdExtent> map = MapOf(pod);
  for (const uint32_t id : ids) {
    if (!identity::ToHost(map, id).ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "check user and groups: id ", id,
          " is outside of the pod's range; name it in the pod's security "
          "context, or use a handler with the policy \"requested\""));
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::ops
