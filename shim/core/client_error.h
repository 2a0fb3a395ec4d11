#pragma once

#include "absl/status/status.h"

// Which errors speak of what the client named.  "Not found" of a file that we
// need is no "not found" of a container: the kubelet would take it for gone.
namespace caisson::core {

// Marks an error as one that the client gets with its code.  OK stays OK.
absl::Status ForClient(absl::Status status);

// What the client gets: a NotFound, AlreadyExists, PermissionDenied or
// Unauthenticated that is not marked is Internal.
absl::Status AsAnswered(const absl::Status& status);

}  // namespace caisson::core
