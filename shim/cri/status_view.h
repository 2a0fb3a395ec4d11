#pragma once

#include "absl/status/status.h"
#include "api/cri/v1/api.pb.h"
#include "shim/config/config.h"

namespace caisson::cri {

namespace v1 = ::runtime::v1;

// The runtime's conditions, handlers and features; `network`: why it is not
// ready.
void FillRuntimeStatus(const config::Config& config,
                       const absl::Status& network,
                       v1::StatusResponse& response);

}  // namespace caisson::cri
