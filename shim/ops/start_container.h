#pragma once

#include "absl/status/status.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/exits.h"
#include "shim/ops/hooks.h"

namespace caisson::ops {

// StartContainer.
class StartContainer {
 public:
  StartContainer(core::Registry& registry, core::Transitions& transitions,
                 Exits& exits, const Hooks& hooks)
      : registry_(registry),
        transitions_(transitions),
        exits_(exits),
        hooks_(hooks) {}

  // FailedPrecondition unless it is CREATED.  One that can't be started is
  // EXITED when this returns, with 128 and the reason StartError, as other
  // runtimes say it.
  absl::Status Run(const core::ContainerPtr& container,
                   core::Operation& operation);

 private:
  absl::Status Fail(core::Container& container, const absl::Status& why);
  absl::Status NoteStarted(core::Container& container,
                           const keeper::v1::ContainerStarted& started);

  core::Registry& registry_;
  core::Transitions& transitions_;
  Exits& exits_;
  const Hooks& hooks_;
};

}  // namespace caisson::ops
