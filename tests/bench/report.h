#pragma once

#include <string>
#include <vector>

#include "tests/bench/samples.h"

namespace caisson::bench {

// What is told of one runtime.
struct Measured {
  std::string name;
  std::string endpoint;
  Results results;
  std::vector<std::string> errors;
};

// A table of the medians and tails beside the budgets; with two runtimes also
// how many times better the first one is.
std::string FormatReport(const std::vector<Measured>& measured);

// The same and every sample as JSON.
std::string FormatJson(const std::vector<Measured>& measured);

}  // namespace caisson::bench
