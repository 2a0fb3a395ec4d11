#pragma once

#include <string>
#include <vector>

#include "tests/bench/samples.h"
#include "tests/bench/targets.h"

namespace caisson::bench {

// What is told of one runtime.
struct Measured {
  std::string name;
  std::string endpoint;
  Results results;
  std::vector<std::string> errors;
};

// A table of the medians and tails; with two runtimes also how many times
// better the first one is, how many it must be, and whether it is.
std::string FormatReport(const std::vector<Measured>& measured,
                         const Judge& judge);

// The same and every sample as JSON.
std::string FormatJson(const std::vector<Measured>& measured,
                       const Judge& judge);

// The labels of the rows that miss what they must reach.
std::vector<std::string> Missed(const std::vector<Measured>& measured,
                                const Judge& judge);

}  // namespace caisson::bench
