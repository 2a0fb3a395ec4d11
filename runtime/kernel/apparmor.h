#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// AppArmor by its files (apparmor(7), aa_change_onexec(2)).
namespace caisson::kernel {

// Whether the kernel confines by it.
bool HasAppArmor();

// Names of the profiles in the kernel; empty without AppArmor.  securityfs
// must be mounted at /sys/kernel/security.
absl::StatusOr<std::set<std::string>> AppArmorProfiles();

// The calling thread's next execve enters `profile`, read back from the
// kernel.  `root`: a directory with a procfs at "proc", which must be one and
// have nothing mounted over it (CVE-2019-16884, CVE-2025-52881).
absl::Status ConfineOnExec(int root, const std::string& profile);

}  // namespace caisson::kernel
