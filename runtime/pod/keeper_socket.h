#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

// Where keepers listen (AF_UNIX, SOCK_STREAM).
namespace caisson::pod {

// Does not wait.  Unavailable when nobody listens at `path`, or more have come
// than the listener wants to know of.
absl::StatusOr<UniqueFd> ConnectToKeeper(const std::string& path);

}  // namespace caisson::pod
