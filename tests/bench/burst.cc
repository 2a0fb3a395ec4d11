#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/base/status.h"
#include "tests/bench/parts.h"

namespace caisson::bench {
namespace {

// Does `work` for 0..count-1 on `threads` threads; the first error ends it.
absl::Status InParallel(int count, int threads,
                        const std::function<absl::Status(int)>& work) {
  std::atomic<int> next = 0;
  std::mutex mutex;
  absl::Status result;
  const auto take = [&] {
    for (int i = next++; i < count; i = next++) {
      const absl::Status status = work(i);
      if (!status.ok()) {
        const std::lock_guard<std::mutex> lock(mutex);
        result.Update(status);
        next = count;
      }
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back(take);
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  return result;
}

}  // namespace

absl::Status MeasureBurst(Peer& peer, const Options& options) {
  std::vector<std::string> pods(static_cast<size_t>(options.burst_pods));
  const bool host_network = !options.Wants("cni");
  const auto make = [&](int i) -> absl::Status {
    ASSIGN_OR_RETURN(const Pod pod, peer.RunPod(host_network));
    pods[static_cast<size_t>(i)] = pod.id;
    ASSIGN_OR_RETURN(const std::string id,
                     peer.CreateContainer(pod, options.sleep_command));
    return peer.StartContainer(id);
  };
  const auto remove = [&](int i) -> absl::Status {
    const std::string& id = pods[static_cast<size_t>(i)];
    RETURN_IF_ERROR(peer.StopPod(id));
    return peer.RemovePod(id);
  };
  const double start = SecondsNow();
  RETURN_IF_ERROR(InParallel(options.burst_pods, options.burst_parallel, make));
  const double started = SecondsNow();
  RETURN_IF_ERROR(
      InParallel(options.burst_pods, options.burst_parallel, remove));
  // The target is for one size of burst only.
  const bool targeted = options.burst_pods == 100 &&
                        options.burst_parallel == 10 && !host_network;
  peer.results[targeted ? "burst" : "burst_other"].push_back(started - start);
  peer.results["burst_remove"].push_back(SecondsNow() - started);
  return absl::OkStatus();
}

}  // namespace caisson::bench
