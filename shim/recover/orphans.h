#pragma once

#include <memory>

#include "absl/status/status.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/timers.h"
#include "runtime/base/trash.h"
#include "runtime/network/cni.h"
#include "shim/ops/leases.h"
#include "shim/ops/node.h"
#include "shim/ops/paths.h"
#include "shim/recover/difference.h"
#include "shim/store/store.h"

namespace caisson::recover {

// Takes down what no record owns: processes first, then networks and files,
// and last it gives their ranges of ids back.  What fails is tried again.
class Orphans {
 public:
  Orphans(const ops::Node& node, const ops::Paths& paths, store::Store& store,
          network::Cni& cni, ops::Leases& leases, Trash& trash, Timers& timers,
          ThreadPool& pool)
      : node_(node),
        paths_(paths),
        store_(store),
        cni_(cni),
        leases_(leases),
        trash_(trash),
        timers_(timers),
        pool_(pool) {}

  // Nobody gets the ids of their processes from here on: also those that no
  // lease is known of, for the records were lost.
  void BlockIds(const Actions::Orphans& orphans);

  // Begins to take them down, on threads of the pool.
  void TakeDown(Actions::Orphans orphans);

 private:
  struct Work {
    Actions::Orphans orphans;
    absl::Duration pause;
  };

  void Try(const std::shared_ptr<Work>& work);
  absl::Status TakeDownAll(Actions::Orphans& orphans);
  absl::Status EndProcesses(const Actions::Orphans& orphans);
  absl::Status EndCgroup(const std::string& path);
  absl::Status RemoveFiles(const Actions::Orphans& orphans);

  const ops::Node& node_;
  const ops::Paths& paths_;
  store::Store& store_;
  network::Cni& cni_;
  ops::Leases& leases_;
  Trash& trash_;
  Timers& timers_;
  ThreadPool& pool_;
};

}  // namespace caisson::recover
