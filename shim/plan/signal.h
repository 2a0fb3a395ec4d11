#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"

namespace caisson::plan {

// "SIGTERM", "TERM", "15" or "RTMIN+3" as a signal's number.
absl::StatusOr<int> ParseSignal(const std::string& text);

// The CRI's number for a signal of this machine, and back; 0 is the default.
absl::StatusOr<int> FromCri(runtime::v1::Signal signal);
runtime::v1::Signal ToCri(int signal);

}  // namespace caisson::plan
