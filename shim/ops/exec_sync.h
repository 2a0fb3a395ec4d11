#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "runtime/base/timers.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/ops/execs.h"
#include "shim/ops/node.h"
#include "shim/ops/output_collector.h"

namespace caisson::ops {

// ExecSync: no thread waits while the program runs.
class ExecSync {
 public:
  struct Answer {
    int exit_code = 0;
    Output output;
  };

  ExecSync(const Node& node, core::Registry& registry, Execs& execs,
           OutputCollector& collector, Timers& timers, ThreadPool& ending_pool)
      : node_(node),
        registry_(registry),
        execs_(execs),
        collector_(collector),
        timers_(timers),
        ending_pool_(ending_pool) {}

  // InvalidArgument names field and value.
  static absl::Status Check(const v1::ExecSyncRequest& request);

  // Finishes the operation when the program and all that it left have ended,
  // with `answer` filled.  `timeout` has the request's seconds from its
  // arrival; when it passes (DeadlineExceeded), or when nobody waits for the
  // operation any more, all of the exec is killed.
  void Run(const v1::ExecSyncRequest& request, Deadline timeout,
           const core::OperationPtr& operation,
           const std::shared_ptr<Answer>& answer);

 private:
  struct Exec;

  absl::Status Begin(const v1::ExecSyncRequest& request,
                     const std::shared_ptr<Exec>& exec);
  absl::Status AttachOutput(const std::shared_ptr<Exec>& exec,
                            pod::WithFds<keeper::v1::ExecPlan>& plan);
  // Has it given up when its time is over, or nobody waits for it.
  void Limit(const v1::ExecSyncRequest& request,
             const std::shared_ptr<Exec>& exec);
  void GiveUp(const std::shared_ptr<Exec>& exec, const absl::Status& why);
  void Conclude(const std::shared_ptr<Exec>& exec);

  const Node& node_;
  core::Registry& registry_;
  Execs& execs_;
  OutputCollector& collector_;
  Timers& timers_;
  // Not that of the starts, which their children may hold up.
  ThreadPool& ending_pool_;
};

}  // namespace caisson::ops
