#include "shim/ops/scopes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/systemd.h"

namespace caisson::ops {
namespace {

// systemd answers in milliseconds, or is in trouble.
constexpr absl::Duration kSystemdTimeout = absl::Seconds(20);

constexpr char kSystemSlice[] = "system.slice";

}  // namespace

std::string KeepersCgroup(const config::Config::Cgroup& config) {
  return config.UsesSystemd()
             ? absl::StrCat(kSystemSlice, "/", config.keepers, ".scope")
             : config.keepers;
}

absl::Status PlaceForkServer(const std::string& keepers,
                             const cgroup::Layout& layout, int pid) {
  cgroup::Scope scope;
  scope.unit = absl::StrCat(keepers, ".scope");
  scope.slice = kSystemSlice;
  scope.description = "keepers of caisson's pods";
  scope.pid = pid;
  const absl::StatusOr<cgroup::Cgroup> found =
      cgroup::Cgroup::Open(layout, absl::StrCat(kSystemSlice, "/", scope.unit));
  // It may go with its last keeper meanwhile.
  if (found.ok() && found->Enter(pid).ok()) {
    return absl::OkStatus();
  }
  return cgroup::StartScope(scope, Deadline::After(kSystemdTimeout));
}

absl::Status StartPodScope(const Node& node, const std::string& slice,
                           const core::PodFacts& pod, int holder,
                           Deadline deadline) {
  const runtime::v1::PodSandboxMetadata& metadata = pod.config->metadata();
  cgroup::Scope scope;
  scope.unit = pod.record.scope();
  scope.slice = slice;
  scope.description = absl::StrCat("pod ", metadata.namespace_(), "/",
                                   metadata.name(), " of caisson");
  scope.pid = holder;
  RETURN_IF_ERROR(cgroup::StartScope(
      scope, Deadline::Earlier(deadline, Deadline::After(kSystemdTimeout))));
  // Out of the way first: a cgroup with controllers below it may hold no
  // processes (cgroups(7)).
  const absl::string_view base = absl::StripSuffix(pod.record.cgroup(), "/pod");
  ASSIGN_OR_RETURN(const cgroup::Cgroup whole,
                   cgroup::Cgroup::Open(node.layout, std::string(base)));
  ASSIGN_OR_RETURN(const cgroup::Cgroup group,
                   whole.CreateUnifiedChild("holder"));
  RETURN_IF_ERROR(group.Enter(scope.pid));
  return cgroup::Cgroup::Create(node.layout, pod.record.cgroup()).status();
}

}  // namespace caisson::ops
