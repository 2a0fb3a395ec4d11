#pragma once

#include "absl/types/span.h"

namespace caisson::bench {

// What is measured, beside its budget (ARCHITECTURE.md, "What is measured").
struct Metric {
  const char* id;
  const char* label;
  const char* unit;
  double containerd;  // containerd 2.1.9 + runc 1.3.6; 0: not measured then
  double budget;      // 0: none
  bool more_is_better;
};

// In the order of the report.
absl::Span<const Metric> Metrics();

// Whether `value` keeps the budget; true without one.
bool KeepsBudget(const Metric& metric, double value);

}  // namespace caisson::bench
