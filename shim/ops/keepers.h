#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "runtime/pod/keeper.h"
#include "shim/core/pod.h"
#include "shim/ops/exits.h"
#include "shim/ops/paths.h"

namespace caisson::ops {

// The keepers of the pods: made, found again, ended.  Any thread.
class Keepers {
 public:
  Keepers(pod::KeeperFactory& factory, Exits& exits, const Paths& paths)
      : factory_(factory), exits_(exits), paths_(paths) {}

  // Gives the pod a new keeper, which has no pod yet; its identity.
  absl::StatusOr<pod::KeeperIdentity> Start(const core::PodPtr& pod,
                                            Deadline deadline);

  // Takes up the keeper of the pod's record.  Does not wait for it.  NotFound:
  // it is gone.
  absl::Status Resume(const core::PodPtr& pod);

  // Has the keeper end, by force where it does not answer, and forgets it; OK
  // without one.  DeadlineExceeded: the kernel can't end it.
  absl::Status End(core::Pod& pod, Deadline deadline);

  int fork_server_pid() { return factory_.server_pid(); }

 private:
  pod::Keeper::Options OptionsFor(const core::PodPtr& pod);

  pod::KeeperFactory& factory_;
  Exits& exits_;
  const Paths& paths_;
};

}  // namespace caisson::ops
