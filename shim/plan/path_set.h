#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace caisson::plan {

// Absolute paths, as CleanPath() makes them, that cover all below them.  Both
// operations cost the length of the path, however many there are: requests and
// images name thousands.
class PathSet {
 public:
  void Insert(absl::string_view path);

  // Whether `path` or a directory above it is in the set.
  bool Covers(absl::string_view path) const;

 private:
  struct Node {
    int number = 0;
    bool is_member = false;
  };

  // By the number of the directory, 0 for the root, and the name in it.
  std::map<std::pair<int, std::string>, Node> nodes_;
  bool has_root_ = false;
};

}  // namespace caisson::plan
