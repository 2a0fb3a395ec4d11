#pragma once

#include "absl/status/status.h"
#include "runtime/base/deadline.h"
#include "runtime/base/trash.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/container_ending.h"
#include "shim/ops/keepers.h"
#include "shim/ops/leases.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/ops/pod_network.h"
#include "shim/ops/selinux.h"

namespace caisson::ops {

// The end of a pod and of what it left: also of one that is half made, or
// whose keeper hangs or is gone.  Everything already gone is success; after a
// failure it can be called again.  Any thread; ends of one pod wait for each
// other.
class PodEnding {
 public:
  struct Parts {
    const Node& node;
    const Paths& paths;
    core::Registry& registry;
    core::Transitions& transitions;
    ContainerEnding& containers;
    Keepers& keepers;
    PodNetwork& network;
    Leases& leases;
    SelinuxLevels& levels;
    Trash& trash;
  };

  explicit PodEnding(const Parts& parts) : parts_(parts) {}

  // Ends containers, network and keeper.  From its begin on the pod is not
  // ready, and nothing new begins in it.
  absl::Status Stop(const core::PodPtr& pod, Deadline deadline);

  // The same; then takes away what is left, its record and its ids.
  absl::Status Remove(const core::PodPtr& pod, Deadline deadline);

 private:
  absl::Status StopHeld(const core::PodPtr& pod, Deadline deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->ending());
  absl::Status EndContainers(const core::PodPtr& pod, Deadline deadline);
  absl::Status EndContainer(const core::PodPtr& pod,
                            const core::ContainerPtr& container,
                            Deadline deadline);
  absl::Status RemoveCgroup(const core::PodFacts& facts);

  const Parts parts_;
};

}  // namespace caisson::ops
