#pragma once

#include "absl/status/status.h"
#include "tests/bench/options.h"
#include "tests/bench/peer.h"

// The parts of the bench, a file each.  Each is one round, adds its samples to
// the peer's results and removes its pods; what a failure leaves, RemovePods()
// removes.
namespace caisson::bench {

// Each single call once, on a pod with the host's network and, unless
// skipped, one with CNI.  `record` is false for the round that warms up.
absl::Status MeasureLatency(Peer& peer, const Options& options, bool record);

// Many pods with a container each, several at a time.
absl::Status MeasureBurst(Peer& peer, const Options& options);

// What a container prints, from start to exit.
absl::Status MeasureLog(Peer& peer, const Options& options);

absl::Status MeasurePull(Peer& peer, const Options& options);

// Memory of the daemon and of all the runtime's processes, without pods and
// with.
absl::Status MeasureMemory(Peer& peer, const Options& options);

}  // namespace caisson::bench
