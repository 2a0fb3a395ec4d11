#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/detach_queue.h"
#include "shim/ops/keepers.h"
#include "shim/ops/leases.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/ops/pod_ending.h"
#include "shim/ops/pod_network.h"
#include "shim/ops/selinux.h"

namespace caisson::ops {

// RunPodSandbox.
class RunPod {
 public:
  struct Parts {
    const Node& node;
    const Paths& paths;
    core::Registry& registry;
    core::Transitions& transitions;
    network::Cni& cni;
    Leases& leases;
    SelinuxLevels& levels;
    Keepers& keepers;
    PodNetwork& network;
    PodEnding& ending;
    DetachQueue& detach_queue;
    ThreadPool& events;
  };

  explicit RunPod(const Parts& parts) : parts_(parts) {}

  // The new pod's id; that of a ready one with the same name and
  // configuration, whose answer a client may have missed.  AlreadyExists for
  // any other of that name.  On failure nothing is left but what could not be
  // undone: that stays as a pod which is not ready, and is tried again.
  absl::StatusOr<std::string> Run(const v1::RunPodSandboxRequest& request,
                                  core::Operation& operation);

 private:
  absl::StatusOr<core::PodPtr> Register(const v1::RunPodSandboxRequest& request,
                                        const plan::PodDecision& decision,
                                        std::string* same);
  absl::Status ChooseSelinux(plan::PodDecision& decision,
                             state::v1::PodRecord& record,
                             const v1::PodSandboxConfig& config);
  absl::Status TakeIds(plan::PodDecision& decision, core::Pod& pod);
  absl::Status Make(plan::PodDecision decision, const core::PodPtr& pod,
                    core::Operation& operation);
  absl::StatusOr<UniqueFd> MakeNamespaces(plan::PodDecision& decision,
                                          const core::PodPtr& pod,
                                          core::Operation& operation);
  absl::Status Attach(const plan::PodDecision& decision, core::Pod& pod,
                      UniqueFd network, core::Operation& operation);
  void Undo(const core::PodPtr& pod);

  const Parts parts_;
};

}  // namespace caisson::ops
