#include "runtime/base/status.h"
#include "tests/bench/parts.h"

namespace caisson::bench {
namespace {

constexpr double kMillisPerSecond = 1e3;

// Collects a round's times, so that a failed round adds none.
class Round {
 public:
  double* Time(const char* id) { return &seconds_[id]; }

  void AddTo(Results& results) const {
    for (const auto& [id, seconds] : seconds_) {
      results[id].push_back(seconds * kMillisPerSecond);
    }
  }

  double Seconds(const char* id) const {
    const auto found = seconds_.find(id);
    return found == seconds_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, double> seconds_;
};

absl::Status MeasureContainer(Peer& peer, const Options& options,
                              const Pod& pod, Round& round) {
  ASSIGN_OR_RETURN(
      const std::string id,
      peer.CreateContainer(pod, options.sleep_command, round.Time("create")));
  RETURN_IF_ERROR(peer.StartContainer(id, round.Time("start")));
  *round.Time("create_start") =
      round.Seconds("create") + round.Seconds("start");
  RETURN_IF_ERROR(peer.ExecTrue(id, round.Time("exec")));
  RETURN_IF_ERROR(peer.KillContainer(id, round.Time("stop_container")));
  return peer.RemoveContainer(id, round.Time("remove_container"));
}

absl::Status MeasureHostPod(Peer& peer, const Options& options, Round& round) {
  ASSIGN_OR_RETURN(const Pod pod,
                   peer.RunPod(true, round.Time("run_pod_host")));
  RETURN_IF_ERROR(MeasureContainer(peer, options, pod, round));
  RETURN_IF_ERROR(peer.StopPod(pod.id, round.Time("stop_pod_host")));
  return peer.RemovePod(pod.id, round.Time("remove_pod"));
}

absl::Status MeasureCniPod(Peer& peer, Round& round) {
  ASSIGN_OR_RETURN(const Pod pod,
                   peer.RunPod(false, round.Time("run_pod_cni")));
  RETURN_IF_ERROR(peer.StopPod(pod.id, round.Time("stop_pod_cni")));
  return peer.RemovePod(pod.id);
}

}  // namespace

absl::Status MeasureLatency(Peer& peer, const Options& options, bool record) {
  Round round;
  RETURN_IF_ERROR(MeasureHostPod(peer, options, round));
  if (options.Wants("cni")) {
    RETURN_IF_ERROR(MeasureCniPod(peer, round));
  }
  if (record) {
    round.AddTo(peer.results);
  }
  return absl::OkStatus();
}

}  // namespace caisson::bench
