#include "tests/bench/samples.h"

#include <algorithm>
#include <cmath>

namespace caisson::bench {

double Percentile(const Samples& samples, double share) {
  if (samples.empty()) {
    return 0;
  }
  Samples sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

}  // namespace caisson::bench
