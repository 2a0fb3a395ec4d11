#pragma once

#include <string>

namespace caisson::cri {

// Whether `labels` has every pair of `selector`.
template <typename Map>
bool HasLabels(const Map& labels, const Map& selector) {
  for (const auto& [key, value] : selector) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) {
      return false;
    }
  }
  return true;
}

}  // namespace caisson::cri
