#include "shim/plan/path_set.h"

#include "absl/strings/str_split.h"

namespace caisson::plan {

void PathSet::Insert(absl::string_view path) {
  Node* node = nullptr;
  int above = 0;
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const int next = static_cast<int>(nodes_.size()) + 1;
    node = &nodes_.insert({{above, std::string(name)}, {next, false}})
                .first->second;
    above = node->number;
  }
  (node == nullptr ? has_root_ : node->is_member) = true;
}

bool PathSet::Covers(absl::string_view path) const {
  bool covered = has_root_;
  int above = 0;
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const auto node = nodes_.find({above, std::string(name)});
    if (covered || node == nodes_.end()) {
      break;
    }
    covered = node->second.is_member;
    above = node->second.number;
  }
  return covered;
}

}  // namespace caisson::plan
