#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace caisson::plan {

// The variables of a process: each name once, the last word about it holds
// and stands where it was said.  An image may have as many as execve(2) takes,
// so each operation costs the logarithm of their number, and no hash that
// somebody could aim at.
class Environment {
 public:
  void Set(absl::string_view name, absl::string_view value);
  // "NAME=value".  Without "=", or with nothing before it, it is no variable
  // and left out.
  void SetEntry(absl::string_view entry);

  bool Has(absl::string_view name) const;

  // "NAME=value" each, in order; empties this.
  std::vector<std::string> Take();

 private:
  std::map<std::string, size_t> places_;
  // Empty: another one of that name came later.
  std::vector<std::string> entries_;
};

}  // namespace caisson::plan
