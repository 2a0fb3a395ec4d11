#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/unique_fd.h"

// Files of a procfs that the runtime writes or believes.  Each is found below
// a handle that was seen to be the root of a procfs, and no mount or magic link
// leads from there elsewhere (CVE-2019-16884, CVE-2025-52881, catalogue B15).
namespace caisson::kernel {

// `path` ("self/oom_score_adj") in the /proc of the mount namespace we are in.
absl::StatusOr<UniqueFd> OpenProcFile(absl::string_view path, int flags);

// The same in the /proc of `root`.
absl::StatusOr<UniqueFd> OpenProcFileOf(int root, absl::string_view path,
                                        int flags);

}  // namespace caisson::kernel
