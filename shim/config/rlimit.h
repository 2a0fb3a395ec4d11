#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "shim/config/config.h"

namespace caisson::config {

// Limit `name` of setrlimit(2), in lower case without RLIMIT_, as `text`:
// "SOFT:HARD" or one value for both; a value is a number or "unlimited".  The
// message of a failure ends the sentence "KEY ...".
absl::StatusOr<Rlimit> ParseRlimit(absl::string_view name,
                                   absl::string_view text);

// Reads back to the same.
std::string RlimitText(const Rlimit& limit);

}  // namespace caisson::config
