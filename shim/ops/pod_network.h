#pragma once

#include "absl/status/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/network/cni.h"
#include "shim/core/pod.h"
#include "shim/core/transitions.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"

namespace caisson::ops {

// A pod's attachment to the network.  Its record says `network_attached` from
// before the first plugin runs until DEL has succeeded, so that nothing is
// forgotten.  Any thread; of one pod one call at a time.
class PodNetwork {
 public:
  PodNetwork(network::Cni& cni, core::Transitions& transitions,
             const Paths& paths)
      : cni_(cni), transitions_(transitions), paths_(paths) {}

  // Pins the namespace and has the plugins attach it; the addresses are in the
  // pod's facts then.  On failure Detach() is due.
  absl::Status Attach(core::Pod& pod, UniqueFd network, Deadline deadline);

  // Has the plugins detach it and takes the pin away.  OK when nothing is
  // attached.  On failure all stays as it is, for another try.
  absl::Status Detach(core::Pod& pod, Deadline deadline);

 private:
  network::Cni& cni_;
  core::Transitions& transitions_;
  const Paths& paths_;
};

}  // namespace caisson::ops
