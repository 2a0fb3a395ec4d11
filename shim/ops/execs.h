#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"

namespace caisson::ops {

// Who waits for the end of which exec.  Any thread.
class Execs {
 public:
  // The exit code, or why none will be known.  Called once, on a thread that
  // it must not hold up.
  using OnEnd = std::function<void(absl::StatusOr<int> code)>;

  // The id of a new exec: random, for one of before a restart may still run
  // under its name.
  std::string Add(const std::string& pod_id, OnEnd on_end)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Nobody waits for it any more.
  void Remove(const std::string& id) ABSL_LOCKS_EXCLUDED(mutex_);

  void End(const std::string& id, absl::StatusOr<int> code)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Those of the pod that are not in `running` have ended unheard.
  void KeepOnly(const std::string& pod_id, const std::set<std::string>& running)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::string pod_id;
    OnEnd on_end;
  };

  Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::ops
