#include "absl/time/clock.h"
#include "runtime/base/status.h"
#include "tests/bench/parts.h"
#include "tests/bench/processes.h"

namespace caisson::bench {
namespace {

// Processes that are ending or settling are not what is measured.
constexpr absl::Duration kSettle = absl::Seconds(2);

struct Memory {
  double processes = 0;
  double daemon = 0;
};

absl::StatusOr<Memory> Measure(const Peer& peer) {
  absl::SleepFor(kSettle);
  Memory memory;
  ASSIGN_OR_RETURN(memory.processes,
                   ProportionalMegabytes(peer.endpoint().process_pattern));
  ASSIGN_OR_RETURN(const pid_t daemon, ListenerOf(peer.endpoint().address));
  ASSIGN_OR_RETURN(memory.daemon, ResidentMegabytes(daemon));
  return memory;
}

}  // namespace

absl::Status MeasureMemory(Peer& peer, const Options& options) {
  ASSIGN_OR_RETURN(const Memory before, Measure(peer));
  for (int i = 0; i < options.memory_pods; ++i) {
    ASSIGN_OR_RETURN(const Pod pod, peer.RunPod(true));
    ASSIGN_OR_RETURN(const std::string id,
                     peer.CreateContainer(pod, options.sleep_command));
    RETURN_IF_ERROR(peer.StartContainer(id));
  }
  ASSIGN_OR_RETURN(const Memory with_pods, Measure(peer));
  // The daemon's growth counts as the pods', though it has rows of its own.
  const double pods = with_pods.processes - before.processes;
  peer.results["pod_pss"].push_back(pods / options.memory_pods);
  peer.results["daemon_rss_idle"].push_back(before.daemon);
  peer.results["daemon_rss_pods"].push_back(with_pods.daemon);
  return peer.RemovePods();
}

}  // namespace caisson::bench
