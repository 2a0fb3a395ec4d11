#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "api/state/v1/state.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/identity/id_pool.h"
#include "shim/plan/pod.h"
#include "shim/store/store.h"

namespace caisson::ops {

// Which ranges of host ids belong to whom.  Any thread.
class Leases {
 public:
  Leases(const identity::IdPool& pool, store::Store& store)
      : pool_(pool), store_(store) {}

  // The ranges of pods that an earlier daemon recorded; once, at the start.
  void Load(const std::vector<store::Records::PodLease>& leases)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Gives the pod the ids that its decision says, writes their maps into the
  // record (with `config` in it) and adds it to the store, in one transaction
  // with its leases.  FailedPrecondition: another pod has some of them;
  // ResourceExhausted: none is free.
  absl::Status Take(const plan::PodDecision& decision,
                    state::v1::PodRecord& record) ABSL_LOCKS_EXCLUDED(mutex_);

  // After the pod's record has gone, and all that had its ids.
  void Release(const std::string& pod_id) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ranges of what no record owns but still runs: nobody gets them until
  // Release() of the same name.
  void Block(const std::string& owner, std::vector<store::Lease> ranges)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::StatusOr<std::vector<store::Lease>> Choose(
      const plan::PodDecision& decision, state::v1::PodRecord& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckFree(const std::vector<store::Lease>& wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const identity::IdPool pool_;
  store::Store& store_;
  Mutex mutex_;
  std::map<std::string, std::vector<store::Lease>> taken_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::ops
