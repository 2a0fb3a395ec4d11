#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "runtime/pod/keeper.h"
#include "shim/core/pod.h"
#include "shim/ops/exits.h"
#include "shim/ops/paths.h"

namespace caisson::ops {

// What speaks with a keeper: the client of runtime/pod, but in tests.
struct KeeperClients {
  std::function<std::unique_ptr<pod::Keeper>(pod::KeeperFactory::NewKeeper,
                                             pod::Keeper::Options)>
      adopt = pod::Keeper::Adopt;
  std::function<absl::StatusOr<std::unique_ptr<pod::Keeper>>(
      const pod::KeeperIdentity&, pod::Keeper::Options)>
      resume = pod::Keeper::Resume;
};

// The keepers of the pods: made, found again, ended.  Any thread.
class Keepers {
 public:
  Keepers(pod::KeeperFactory& factory, Exits& exits, const Paths& paths,
          KeeperClients clients = {})
      : factory_(factory),
        exits_(exits),
        paths_(paths),
        clients_(std::move(clients)) {}

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
  const KeeperClients clients_;
};

}  // namespace caisson::ops
