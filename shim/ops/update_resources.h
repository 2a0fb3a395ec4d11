#pragma once

#include "absl/status/status.h"
#include "api/cri/v1/api.pb.h"
#include "shim/core/container.h"
#include "shim/core/pod.h"
#include "shim/core/transitions.h"
#include "shim/ops/node.h"

namespace caisson::ops {

// UpdateContainerResources and UpdatePodSandboxResources: all that the request
// changes, or nothing.  They wait for no other change of the object, but for
// one of its limits.
class UpdateResources {
 public:
  UpdateResources(const Node& node, core::Transitions& transitions)
      : node_(node), transitions_(transitions) {}

  // FailedPrecondition unless it is created or runs.
  absl::Status Update(core::Container& container,
                      const v1::LinuxContainerResources& change);
  absl::Status Update(core::Pod& pod,
                      const v1::UpdatePodSandboxResourcesRequest& request);

 private:
  const Node& node_;
  core::Transitions& transitions_;
};

}  // namespace caisson::ops
