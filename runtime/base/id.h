#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace caisson {

// 64 lower-case hex digits from getrandom(2): the id of a pod or container.
std::string GenerateId();

// Whether `id` is one that GenerateId() could have made.  Ids become names of
// cgroups and directories, so nothing else may pass (catalogue G13).
bool IsGeneratedId(absl::string_view id);

}  // namespace caisson
