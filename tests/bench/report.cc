#include "tests/bench/report.h"

#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "shim/ctl/table.h"
#include "tests/bench/budgets.h"

namespace caisson::bench {
namespace {

constexpr double kMedian = 0.5;
constexpr double kTail = 0.9;

const Samples& SamplesOf(const Measured& measured, const Metric& metric) {
  static const Samples kNone;
  const auto found = measured.results.find(metric.id);
  return found == measured.results.end() ? kNone : found->second;
}

std::string Number(double value) {
  return absl::StrFormat(value < 10 ? "%.2f" : "%.1f", value);
}

std::string NumberOrDash(double value) {
  return value == 0 ? "-" : Number(value);
}

void AddColumns(const Samples& samples, std::vector<std::string>& row) {
  for (const double share : {kMedian, kTail, 1.0}) {
    row.push_back(samples.empty() ? "-" : Number(Percentile(samples, share)));
  }
}

std::string Ratio(const Metric& metric, const std::vector<Measured>& measured) {
  const double first = Percentile(SamplesOf(measured[0], metric), kMedian);
  const double second = Percentile(SamplesOf(measured[1], metric), kMedian);
  const double better = metric.more_is_better ? first : second;
  const double worse = metric.more_is_better ? second : first;
  return worse <= 0 || better <= 0 ? "-" : Number(better / worse) + "x";
}

// Of the first runtime.
std::string Verdict(const Metric& metric, const Measured& measured) {
  const Samples& samples = SamplesOf(measured, metric);
  if (samples.empty() || metric.budget == 0) {
    return "-";
  }
  return KeepsBudget(metric, Percentile(samples, kMedian)) ? "kept" : "MISSED";
}

std::vector<std::string> Header(const std::vector<Measured>& measured) {
  std::vector<std::string> row = {"WORK", "UNIT"};
  for (const Measured& one : measured) {
    row.push_back(one.name + " p50");
    row.insert(row.end(), {"p90", "max"});
  }
  if (measured.size() == 2) {
    row.push_back("RATIO");
  }
  row.insert(row.end(), {"BUDGET", "", "CONTAINERD 2.1"});
  return row;
}

std::vector<std::string> Row(const Metric& metric,
                             const std::vector<Measured>& measured) {
  std::vector<std::string> row = {metric.label, metric.unit};
  for (const Measured& one : measured) {
    AddColumns(SamplesOf(one, metric), row);
  }
  if (measured.size() == 2) {
    row.push_back(Ratio(metric, measured));
  }
  row.push_back(NumberOrDash(metric.budget));
  row.push_back(Verdict(metric, measured[0]));
  row.push_back(NumberOrDash(metric.containerd));
  return row;
}

nlohmann::json JsonOf(const Measured& measured) {
  nlohmann::json results = nlohmann::json::object();
  for (const Metric& metric : Metrics()) {
    const Samples& samples = SamplesOf(measured, metric);
    if (samples.empty()) {
      continue;
    }
    results[metric.id] = {{"unit", metric.unit},
                          {"p50", Percentile(samples, kMedian)},
                          {"p90", Percentile(samples, kTail)},
                          {"max", Percentile(samples, 1)},
                          {"samples", samples}};
    if (metric.budget != 0) {
      results[metric.id]["budget"] = metric.budget;
    }
  }
  return {{"name", measured.name},
          {"endpoint", measured.endpoint},
          {"results", results},
          {"errors", measured.errors}};
}

}  // namespace

std::string FormatReport(const std::vector<Measured>& measured) {
  if (measured.empty()) {
    return "";
  }
  std::vector<std::vector<std::string>> rows = {Header(measured)};
  for (const Metric& metric : Metrics()) {
    const bool known = std::any_of(measured.begin(), measured.end(),
                                   [&metric](const Measured& one) {
                                     return !SamplesOf(one, metric).empty();
                                   });
    if (known) {
      rows.push_back(Row(metric, measured));
    }
  }
  std::string text = ctl::FormatTable(rows);
  for (const Measured& one : measured) {
    for (const std::string& error : one.errors) {
      absl::StrAppend(&text, one.name, ": ", error, "\n");
    }
  }
  return text;
}

std::string FormatJson(const std::vector<Measured>& measured) {
  utsname name{};
  ::uname(&name);
  nlohmann::json runtimes = nlohmann::json::array();
  for (const Measured& one : measured) {
    runtimes.push_back(JsonOf(one));
  }
  const nlohmann::json report = {{"kernel", name.release},
                                 {"runtimes", runtimes}};
  constexpr int kIndent = 1;
  return report.dump(kIndent, ' ', false,
                     nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace caisson::bench
