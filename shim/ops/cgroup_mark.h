#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "shim/ops/node.h"

// What is said on our cgroups (cgroup::Cgroup::Mark()): whose pod's they are,
// and which daemon's.  Two that run side by side, as for tests, are told apart
// by the directory of their records.
namespace caisson::ops {

std::string CgroupMark(const Node& node, const std::string& pod_id);

// The pod; nothing when the cgroup is another daemon's.
std::optional<std::string> PodOfMark(const Node& node, absl::string_view mark);

}  // namespace caisson::ops
