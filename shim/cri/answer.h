#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace caisson::cri {

// The one place where errors become answers: the code as core::AsAnswered()
// has it, the message cut to what a header can hold.
grpc::Status ToGrpc(const absl::Status& status);

// The same for the call `rpc`, and a line in the log when it failed.
grpc::Status ToGrpc(const char* rpc, const absl::Status& status);

}  // namespace caisson::cri
