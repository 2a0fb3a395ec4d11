#include "tests/bench/budgets.h"

namespace caisson::bench {
namespace {

constexpr Metric kMetrics[] = {
    {"run_pod_host", "RunPodSandbox, host network", "ms", 80, 4, false},
    {"run_pod_cni", "RunPodSandbox, CNI", "ms", 136, 40, false},
    {"create", "CreateContainer", "ms", 0, 0, false},
    {"start", "StartContainer", "ms", 0, 0, false},
    {"create_start", "CreateContainer + StartContainer", "ms", 87, 5, false},
    {"exec", "ExecSync true", "ms", 50, 2.5, false},
    {"stop_container", "StopContainer (kill)", "ms", 37, 5, false},
    {"remove_container", "RemoveContainer", "ms", 0, 0, false},
    {"stop_pod_host", "StopPodSandbox, host network", "ms", 0, 0, false},
    {"stop_pod_cni", "StopPodSandbox, CNI", "ms", 144, 80, false},
    {"remove_pod", "RemovePodSandbox", "ms", 0, 0, false},
    {"burst", "100 pods with a container, 10 at a time", "s", 14.6, 4, false},
    {"burst_other", "pods with a container, as told", "s", 0, 0, false},
    {"burst_remove", "their removal", "s", 0, 0, false},
    {"log", "container output through the log", "MB/s", 33, 300, true},
    {"pull", "image pull (budget: for 354 MB)", "s", 18, 3.5, false},
    {"pod_pss", "memory a pod beside the workload", "MB", 5.3, 0.3, false},
    {"daemon_rss_idle", "daemon RSS, idle", "MB", 42, 25, false},
    {"daemon_rss_pods", "daemon RSS, with pods", "MB", 73, 30, false},
};

}  // namespace

absl::Span<const Metric> Metrics() {
  return kMetrics;
}

bool KeepsBudget(const Metric& metric, double value) {
  if (metric.budget == 0) {
    return true;
  }
  return metric.more_is_better ? value >= metric.budget
                               : value <= metric.budget;
}

}  // namespace caisson::bench
