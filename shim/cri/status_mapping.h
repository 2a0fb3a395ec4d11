#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace caisson::cri {

// The status of an RPC: same code, same message.  For statuses of our own
// look-ups and checks.
grpc::Status ToGrpc(const absl::Status& status);

// The status of work that failed.  The kernel's "no such file" must not reach
// the kubelet as "no such container": NotFound and AlreadyExists become
// Internal, other codes stay.
absl::Status FromWork(const absl::Status& status);

}  // namespace caisson::cri
