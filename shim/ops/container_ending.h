#pragma once

#include "absl/status/status.h"
#include "runtime/base/deadline.h"
#include "runtime/base/trash.h"
#include "runtime/image/image_store.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/exits.h"
#include "shim/ops/hooks.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"

namespace caisson::ops {

// The end of a container and of what it left: also of one that is half made,
// or whose keeper hangs or is gone.  Everything already gone is success.  Any
// thread.
class ContainerEnding {
 public:
  ContainerEnding(const Node& node, const Paths& paths,
                  core::Registry& registry, core::Transitions& transitions,
                  Exits& exits, const Hooks& hooks, image::ImageStore& images,
                  Trash& trash)
      : node_(node),
        paths_(paths),
        registry_(registry),
        transitions_(transitions),
        exits_(exits),
        hooks_(hooks),
        images_(images),
        trash_(trash) {}

  // Kills all of its processes, by its cgroup, and returns when none is left
  // and the container is EXITED.  DeadlineExceeded names those that the kernel
  // does not end.
  absl::Status Kill(const core::ContainerPtr& container, Deadline deadline);

  // Takes away what is left of it, its record and its place in the registry.
  // Waits for whoever makes it, and would make more of it afterwards.
  absl::Status Remove(const core::ContainerPtr& container, Deadline deadline);

 private:
  absl::Status RemoveCgroup(const core::Container& container,
                            Deadline deadline);
  absl::Status AwaitCreation(core::Container& container, Deadline deadline);
  absl::Status ForgetInKeeper(const core::Container& container,
                              Deadline deadline);

  const Node& node_;
  const Paths& paths_;
  core::Registry& registry_;
  core::Transitions& transitions_;
  Exits& exits_;
  const Hooks& hooks_;
  image::ImageStore& images_;
  Trash& trash_;
};

}  // namespace caisson::ops
