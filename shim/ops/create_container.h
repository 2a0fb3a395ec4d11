#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "runtime/device/registry.h"
#include "runtime/image/image_store.h"
#include "runtime/seccomp/profile.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/container_ending.h"
#include "shim/ops/container_parts.h"
#include "shim/ops/hooks.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/plan/container.h"
#include "shim/store/store.h"

namespace caisson::ops {

// CreateContainer.
class CreateContainer {
 public:
  struct Parts {
    const Node& node;
    const Paths& paths;
    core::Registry& registry;
    core::Transitions& transitions;
    image::ImageStore& images;
    device::Registry& devices;
    seccomp::Compiler& seccomp;
    const Hooks& hooks;
    ContainerParts& container_parts;
    ContainerEnding& ending;
  };

  explicit CreateContainer(const Parts& parts) : parts_(parts) {}

  // The new container's id; that of one that was created with the same name
  // and not started yet, whose answer a client may have missed.
  // AlreadyExists for any other of that name.  On failure nothing is left.
  absl::StatusOr<std::string> Run(const v1::CreateContainerRequest& request,
                                  const core::PodPtr& pod,
                                  core::Operation& operation);

 private:
  // What the request and its image become.
  struct Draft {
    plan::ContainerDecision decision;
    std::vector<image::HeldImage> images;  // its own first
  };

  absl::StatusOr<core::ContainerPtr> Register(
      const v1::CreateContainerRequest& request, const core::PodFacts& pod,
      std::string* same);
  absl::StatusOr<Draft> Decide(const v1::ContainerConfig& config,
                               const core::PodFacts& pod);
  absl::StatusOr<plan::ContainerDecision> Plan(
      const v1::ContainerConfig& config, const core::PodFacts& pod,
      const image::Image& image);
  absl::Status CompileSeccomp(plan::ContainerDecision& decision);
  absl::Status NoteDraft(Draft& draft, core::Container& container);
  absl::Status Make(const v1::CreateContainerRequest& request,
                    const core::PodPtr& pod,
                    const core::ContainerPtr& container,
                    core::Operation& operation);
  absl::Status MakeProcess(plan::ContainerDecision& decision,
                           const core::PodPtr& pod, core::Container& container,
                           core::Operation& operation);

  const Parts parts_;
};

}  // namespace caisson::ops
