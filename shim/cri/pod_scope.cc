#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/systemd.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {
namespace {

// systemd answers in milliseconds, or is in trouble.
constexpr absl::Duration kSystemdTimeout = absl::Seconds(20);

}  // namespace

absl::Status Runtime::PlaceKeeper(const std::string& slice,
                                  const Sandbox& pod) {
  if (slice.empty()) {
    return absl::OkStatus();
  }
  const v1::PodSandboxMetadata& metadata = pod.config.metadata();
  cgroup::Scope scope;
  scope.unit = pod.record.scope();
  scope.slice = slice;
  scope.description = absl::StrCat("pod ", metadata.namespace_(), "/",
                                   metadata.name(), " of caisson");
  scope.pid = pod.record.keeper_pid();
  RETURN_IF_ERROR(cgroup::StartScope(scope, kSystemdTimeout));
  // Out of the way first: a cgroup with controllers below it may hold no
  // processes (cgroups(7)).
  const absl::string_view base = absl::StripSuffix(pod.record.cgroup(), "/pod");
  ASSIGN_OR_RETURN(const cgroup::Cgroup whole,
                   cgroup::Cgroup::Open(parts_.layout, std::string(base)));
  ASSIGN_OR_RETURN(const cgroup::Cgroup group,
                   whole.CreateUnifiedChild("keeper"));
  RETURN_IF_ERROR(group.Enter(scope.pid));
  return cgroup::Cgroup::Create(parts_.layout, pod.record.cgroup()).status();
}

}  // namespace caisson::cri
