#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"

namespace caisson::device {

// One YAML document as the JSON value it stands for.  Plain words are null,
// booleans and integers as YAML has them, all else is text.  InvalidArgument
// names `what` and the line: for an alias (a short text could mean an endless
// one), a key that isn't text or is there twice, a tag but !!str, a second
// document, nesting deeper than 32 levels.
absl::StatusOr<json::Value> ParseYaml(absl::string_view text,
                                      absl::string_view what);

}  // namespace caisson::device
