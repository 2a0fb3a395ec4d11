#pragma once

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/image/image_store.h"
#include "runtime/pod/keeper.h"
#include "shim/core/container.h"
#include "shim/core/pod.h"
#include "shim/ops/hooks.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/plan/container.h"

namespace caisson::ops {

// What a container's plan speaks of and the daemon makes: its directory, the
// mounts of its layers, its cgroup, its log.
class ContainerParts {
 public:
  ContainerParts(const Node& node, const Paths& paths,
                 image::ImageStore& images, const Hooks& hooks)
      : node_(node), paths_(paths), images_(images), hooks_(hooks) {}

  // Makes them and attaches their fds to `plan`.  On failure some of them may
  // be there: ContainerEnding takes them away.
  absl::Status Make(const core::PodFacts& pod,
                    const core::ContainerFacts& container,
                    const plan::ContainerDecision& decision,
                    pod::WithFds<keeper::v1::ContainerPlan>& plan);

 private:
  absl::Status MakeGroup(const core::ContainerFacts& container,
                         const plan::ContainerDecision& decision,
                         pod::WithFds<keeper::v1::ContainerPlan>& plan);
  absl::Status MakeFiles(const core::PodFacts& pod,
                         const core::ContainerFacts& container,
                         keeper::v1::ContainerPlan& plan);

  const Node& node_;
  const Paths& paths_;
  image::ImageStore& images_;
  const Hooks& hooks_;
};

}  // namespace caisson::ops
