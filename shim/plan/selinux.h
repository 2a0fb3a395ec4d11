#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"

// SELinux contexts: a process type and a file type that the policy has for
// containers, and a level with categories that no other pod has.
namespace caisson::plan {

// What the machine's policy has for containers.
struct Selinux {
  bool enabled = false;
  std::string process;  // user:role:type:level
  std::string file;
};

struct SelinuxContexts {
  std::string process;  // both empty where SELinux is not enabled
  std::string file;
};

// The level of a pod: what its options ask for, or the policy's with the
// categories `first` and `second` (0..1023).
std::string PodLevel(const Selinux& policy,
                     const runtime::v1::SELinuxOption& options, int first,
                     int second);

// The contexts of a container, or of what a pod has in common.  `options` win
// over the policy, as user, role, type and level each; a privileged process
// has the type spc_t, which is not confined, and the policy's own level.
// InvalidArgument names the field, `field`; FailedPrecondition: there are
// options, and no SELinux.
absl::StatusOr<SelinuxContexts> ChooseContexts(
    const Selinux& policy, const runtime::v1::SELinuxOption& options,
    const std::string& pod_level, bool privileged, const std::string& field);

}  // namespace caisson::plan
