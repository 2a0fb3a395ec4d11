#include "shim/plan/environment.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace caisson::plan {

void Environment::Set(absl::string_view name, absl::string_view value) {
  const auto [place, fresh] =
      places_.insert({std::string(name), entries_.size()});
  if (!fresh) {
    entries_[place->second].clear();
    place->second = entries_.size();
  }
  entries_.push_back(absl::StrCat(name, "=", value));
}

void Environment::SetEntry(absl::string_view entry) {
  const size_t equals = entry.find('=');
  if (equals != absl::string_view::npos && equals > 0) {
    Set(entry.substr(0, equals), entry.substr(equals + 1));
  }
}

bool Environment::Has(absl::string_view name) const {
  return places_.contains(std::string(name));
}

std::vector<std::string> Environment::Take() {
  std::vector<std::string> all;
  for (std::string& entry : entries_) {
    if (!entry.empty()) {
      all.push_back(std::move(entry));
    }
  }
  places_.clear();
  entries_.clear();
  return all;
}

}  // namespace caisson::plan
