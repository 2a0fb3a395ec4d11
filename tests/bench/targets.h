#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace caisson::bench {

// What is measured, and how many times better than the peer it must be.
struct Metric {
  const char* id;
  const char* label;
  const char* unit;
  double target;      // ratio to the peer's median; 0: none
  const char* floor;  // what the kernel's part alone takes, "" if not known
  bool more_is_better;
  bool judged;  // false: the target is for work that is still to come
};

// In the order of the report.
absl::Span<const Metric> Metrics();

// How many times better `first` is than `second`, both of `metric`: 2 is half
// the time or twice the rate.  0 where one was not measured.
double Ratio(const Metric& metric, double first, double second);

// By what rows are judged.
struct Judge {
  bool all_rows = false;  // also those with `judged` false
  double at_least = 0;    // for all rows instead of their targets; 0: theirs
};

enum class Verdict { kNone, kNotJudged, kMet, kMissed };

// kNone without a target or a ratio.
Verdict VerdictOn(const Judge& judge, const Metric& metric, double ratio);

// What the report says of it: "-", "later", "met" or "MISSED".
absl::string_view Name(Verdict verdict);

// The ratio that `metric` must reach; 0: none.
double TargetOf(const Judge& judge, const Metric& metric);

}  // namespace caisson::bench
