#pragma once

#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/device/hook.h"
#include "shim/core/container.h"
#include "shim/core/pod.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"

namespace caisson::ops {

// The hooks that CDI specs have run in a container's life (OCI runtime
// specification, "POSIX-platform Hooks"), by the daemon or by the keeper.  Any
// thread.
class Hooks {
 public:
  Hooks(const Node& node, const Paths& paths) : node_(node), paths_(paths) {}

  // Runs those of the container's hooks that belong to `moment`, up to the
  // first that fails.
  absl::Status Run(const core::ContainerFacts& container, device::Moment moment,
                   Deadline deadline) const;
  // Those whose failure is only worth a warning, in time of their own.
  void RunLate(const core::ContainerFacts& container,
               device::Moment moment) const;

  // The state that hooks of that moment read; empty for one without hooks.
  std::string StateOf(const core::ContainerFacts& container,
                      device::Moment moment) const;

  // Tells the plan which the keeper runs, and writes the bundle for all.
  absl::Status Plan(const core::PodFacts& pod,
                    const core::ContainerFacts& container,
                    keeper::v1::ContainerPlan& plan) const;

 private:
  const Node& node_;
  const Paths& paths_;
};

}  // namespace caisson::ops
