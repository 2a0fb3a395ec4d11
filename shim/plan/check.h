#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Checks that several requests share.  Every error is InvalidArgument:
// "check FIELD: VALUE WHY".
namespace caisson::plan {

absl::Status Refuse(absl::string_view field, absl::string_view value,
                    absl::string_view why);

// At most `max` bytes, no control characters; empty only if `may_be_empty`.
absl::Status CheckText(absl::string_view field, absl::string_view value,
                       size_t max, bool may_be_empty);

// CheckText, and no "/" nor "." or "..": it becomes part of paths.
absl::Status CheckName(absl::string_view field, absl::string_view value,
                       bool may_be_empty);

// Absolute, no control characters, at most 4095 bytes.
absl::Status CheckAbsolutePath(absl::string_view field,
                               absl::string_view value);

// CheckAbsolutePath, and no "..": it says where it leads.
absl::Status CheckPlainPath(absl::string_view field, absl::string_view value);

// 0..2147483647.
absl::Status CheckId(absl::string_view field, int64_t value);

}  // namespace caisson::plan
