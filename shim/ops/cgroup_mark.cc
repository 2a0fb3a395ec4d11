#include "shim/ops/cgroup_mark.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace caisson::ops {
namespace {

// FNV-1a: the same in each build, and short enough for a mark.
std::string DaemonOf(const Node& node) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : node.config.root) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  return absl::StrCat(".", absl::Hex(hash, absl::kZeroPad16));
}

}  // namespace

std::string CgroupMark(const Node& node, const std::string& pod_id) {
  return absl::StrCat(pod_id, DaemonOf(node));
}

std::optional<std::string> PodOfMark(const Node& node, absl::string_view mark) {
  if (!absl::ConsumeSuffix(&mark, DaemonOf(node))) {
    return std::nullopt;
  }
  return std::string(mark);
}

}  // namespace caisson::ops
