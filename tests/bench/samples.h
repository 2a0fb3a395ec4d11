#pragma once

#include <map>
#include <string>
#include <vector>

namespace caisson::bench {

// Values of one metric in its unit, in the order they were measured.
using Samples = std::vector<double>;

// By metric id of targets.h.
using Results = std::map<std::string, Samples>;

// The smallest sample that `share` (0..1) of all samples don't exceed: always
// a measured value.  0 without samples.
double Percentile(const Samples& samples, double share);

}  // namespace caisson::bench
