#include "runtime/base/status.h"
#include "tests/bench/parts.h"

namespace caisson::bench {

absl::Status MeasurePull(Peer& peer, const Options& options) {
  RETURN_IF_ERROR(peer.RemoveImage(options.pull_image));
  double seconds = 0;
  RETURN_IF_ERROR(peer.PullImage(options.pull_image, &seconds));
  peer.results["pull"].push_back(seconds);
  return absl::OkStatus();
}

}  // namespace caisson::bench
