#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caisson::kernel {

// The contexts that the loaded policy has for containers: the file
// lxc_contexts of selinux_lxc_contexts_path(3).
struct SelinuxPolicy {
  bool enabled = false;
  std::string process;  // "system_u:system_r:container_t:s0"
  std::string file;     // "system_u:object_r:container_file_t:s0"
};

// Not enabled where the kernel has no SELinux or no policy.
// FailedPrecondition: it has one that knows of no containers.
absl::StatusOr<SelinuxPolicy> ReadSelinuxPolicy();

// The same from the text of that file.
absl::StatusOr<SelinuxPolicy> ParseContainerContexts(const std::string& text);

// The context as the kernel writes it; InvalidArgument when the policy has
// none of that name.
absl::StatusOr<std::string> CanonicalContext(const std::string& context);

}  // namespace caisson::kernel
