#include "shim/ops/pod_ids.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace caisson::ops {

absl::StatusOr<uid_t> HostRootOf(const state::v1::PodRecord& pod) {
  const auto map = identity::IdMap::From(pod.uids());
  return map.is_host() ? absl::StatusOr<uid_t>(0) : map.ToHost(0);
}

absl::Status CheckIds(const std::vector<uint32_t>& ids,
                      const state::v1::PodRecord& pod) {
  const auto map = identity::IdMap::From(pod.uids());
  for (const uint32_t id : ids) {
    if (!map.is_host() && !map.Contains(id)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "check user and groups: id ", id,
          " is outside of the pod's range; name it in the pod's security "
          "context, or use a handler with the policy \"requested\""));
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::ops
