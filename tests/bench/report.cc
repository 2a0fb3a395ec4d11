#include "tests/bench/report.h"

#include <sys/utsname.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "shim/ctl/table.h"

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

double Median(const Measured& measured, const Metric& metric) {
  return Percentile(SamplesOf(measured, metric), kMedian);
}

// Of the first runtime to the second; 0 with one alone.
double RatioOf(const Metric& metric, const std::vector<Measured>& measured) {
  return measured.size() < 2 ? 0
                             : Ratio(metric, Median(measured[0], metric),
                                     Median(measured[1], metric));
}

std::string Times(double ratio) {
  return ratio == 0 ? "-" : absl::StrCat(Number(ratio), "x");
}

void AddColumns(const Samples& samples, std::vector<std::string>& row) {
  for (const double share : {kMedian, kTail, 1.0}) {
    row.push_back(samples.empty() ? "-" : Number(Percentile(samples, share)));
  }
}

std::vector<std::string> Header(const std::vector<Measured>& measured) {
  std::vector<std::string> row = {"WORK", "UNIT"};
  for (const Measured& one : measured) {
    row.push_back(one.name + " p50");
    row.insert(row.end(), {"p90", "max"});
  }
  if (measured.size() == 2) {
    row.insert(row.end(), {"RATIO", "TARGET", "VERDICT", "FLOOR"});
  }
  return row;
}

std::vector<std::string> Row(const Metric& metric,
                             const std::vector<Measured>& measured,
                             const Judge& judge) {
  std::vector<std::string> row = {metric.label, metric.unit};
  for (const Measured& one : measured) {
    AddColumns(SamplesOf(one, metric), row);
  }
  if (measured.size() == 2) {
    const double ratio = RatioOf(metric, measured);
    row.push_back(Times(ratio));
    row.push_back(Times(TargetOf(judge, metric)));
    row.emplace_back(Name(VerdictOn(judge, metric, ratio)));
    row.emplace_back(*metric.floor == '\0' ? "-" : metric.floor);
  }
  return row;
}

bool IsKnown(const Metric& metric, const std::vector<Measured>& measured) {
  return std::any_of(measured.begin(), measured.end(),
                     [&metric](const Measured& one) {
                       return !SamplesOf(one, metric).empty();
                     });
}

nlohmann::json JsonOfVerdicts(const std::vector<Measured>& measured,
                              const Judge& judge) {
  nlohmann::json rows = nlohmann::json::object();
  for (const Metric& metric : Metrics()) {
    const double ratio = RatioOf(metric, measured);
    if (ratio > 0) {
      rows[metric.id] = {{"ratio", ratio},
                         {"target", TargetOf(judge, metric)},
                         {"verdict", Name(VerdictOn(judge, metric, ratio))}};
    }
  }
  return rows;
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
  }
  return {{"name", measured.name},
          {"endpoint", measured.endpoint},
          {"results", results},
          {"errors", measured.errors}};
}

}  // namespace

std::string FormatReport(const std::vector<Measured>& measured,
                         const Judge& judge) {
  if (measured.empty()) {
    return "";
  }
  std::vector<std::vector<std::string>> rows = {Header(measured)};
  for (const Metric& metric : Metrics()) {
    if (IsKnown(metric, measured)) {
      rows.push_back(Row(metric, measured, judge));
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

std::string FormatJson(const std::vector<Measured>& measured,
                       const Judge& judge) {
  utsname name{};
  ::uname(&name);
  nlohmann::json runtimes = nlohmann::json::array();
  for (const Measured& one : measured) {
    runtimes.push_back(JsonOf(one));
  }
  const nlohmann::json report = {{"kernel", name.release},
                                 {"runtimes", runtimes},
                                 {"rows", JsonOfVerdicts(measured, judge)}};
  constexpr int kIndent = 1;
  return report.dump(kIndent, ' ', false,
                     nlohmann::json::error_handler_t::replace) +
         "\n";
}

std::vector<std::string> Missed(const std::vector<Measured>& measured,
                                const Judge& judge) {
  std::vector<std::string> labels;
  for (const Metric& metric : Metrics()) {
    if (VerdictOn(judge, metric, RatioOf(metric, measured)) ==
        Verdict::kMissed) {
      labels.emplace_back(metric.label);
    }
  }
  return labels;
}

}  // namespace caisson::bench
