#include "tests/bench/targets.h"

namespace caisson::bench {
namespace {

constexpr bool kLess = false;
constexpr bool kMore = true;
constexpr bool kJudged = true;
constexpr bool kLater = false;

// Ratios to containerd 2.4.2 + runc 1.4.4 in the same run.  A row is for later
// where plugins, the puller or the daemon's queue must first be made quicker.
constexpr Metric kMetrics[] = {
    {"run_pod_host", "RunPodSandbox, host network", "ms", 35, "1.2", kLess,
     kJudged},
    {"run_pod_cni", "RunPodSandbox, CNI", "ms", 15, "3", kLess, kLater},
    {"create", "CreateContainer", "ms", 0, "", kLess, kJudged},
    {"start", "StartContainer", "ms", 0, "", kLess, kJudged},
    {"create_start", "CreateContainer + StartContainer", "ms", 20, "1.0", kLess,
     kJudged},
    {"exec", "ExecSync true", "ms", 25, "0.4", kLess, kJudged},
    {"stop_container", "StopContainer (kill)", "ms", 55, "", kLess, kJudged},
    {"remove_container", "RemoveContainer", "ms", 4, "", kLess, kJudged},
    {"stop_pod_host", "StopPodSandbox, host network", "ms", 0, "", kLess,
     kJudged},
    {"stop_pod_cni", "StopPodSandbox, CNI", "ms", 20, "", kLess, kLater},
    {"remove_pod", "RemovePodSandbox", "ms", 0, "", kLess, kJudged},
    {"burst", "100 pods with a container, 10 at a time", "s", 12, "0.8", kLess,
     kLater},
    {"burst_other", "pods with a container, as told", "s", 0, "", kLess,
     kJudged},
    {"burst_remove", "their removal", "s", 15, "", kLess, kLater},
    {"log", "container output through the log", "MB/s", 18, "", kMore, kJudged},
    {"pull", "image pull", "s", 6.5, "", kLess, kLater},
    {"pod_pss", "memory a pod beside the workload", "MB", 55, "0.09", kLess,
     kJudged},
    {"daemon_rss_idle", "daemon RSS, idle", "MB", 3.3, "13", kLess, kJudged},
    {"daemon_rss_pods", "daemon RSS, with pods", "MB", 3.3, "13", kLess,
     kJudged},
};

}  // namespace

absl::Span<const Metric> Metrics() {
  return kMetrics;
}

double Ratio(const Metric& metric, double first, double second) {
  if (first <= 0 || second <= 0) {
    return 0;
  }
  return metric.more_is_better ? first / second : second / first;
}

double TargetOf(const Judge& judge, const Metric& metric) {
  return judge.at_least > 0 ? judge.at_least : metric.target;
}

Verdict VerdictOn(const Judge& judge, const Metric& metric, double ratio) {
  const double target = TargetOf(judge, metric);
  if (target == 0 || ratio == 0) {
    return Verdict::kNone;
  }
  if (!metric.judged && !judge.all_rows && judge.at_least == 0) {
    return Verdict::kNotJudged;
  }
  return ratio >= target ? Verdict::kMet : Verdict::kMissed;
}

absl::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone:
      return "-";
    case Verdict::kNotJudged:
      return "later";
    case Verdict::kMet:
      return "met";
    case Verdict::kMissed:
      return "MISSED";
  }
  return "-";
}

}  // namespace caisson::bench
