#include "shim/ops/exec_sync.h"

#include <fcntl.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/pipe.h"
#include "runtime/base/status.h"
#include "shim/core/lifecycle.h"
#include "shim/ops/cgroup_fds.h"

namespace caisson::ops {
namespace {

constexpr absl::Duration kKillTime = absl::Seconds(10);

absl::Status EndGroup(const cgroup::Cgroup& group) {
  // Nearly always nothing runs in it any more.
  if (group.Destroy().ok()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group.Kill());
  RETURN_IF_ERROR(group.WaitUntilEmpty(Deadline::After(kKillTime)));
  return group.Destroy();
}

}  // namespace

// One exec on its way.
struct ExecSync::Exec {
  core::OperationPtr operation;
  std::shared_ptr<Answer> answer;
  Deadline timeout;
  std::string id;  // of Execs
  std::optional<cgroup::Cgroup> group;
  OutputCollector::Id job = 0;
  std::atomic<Timers::Id> timer = 0;

  Mutex mutex;
  // Why there is no answer; the first reason counts.
  absl::Status failure ABSL_GUARDED_BY(mutex);
  int exit_code ABSL_GUARDED_BY(mutex) = 0;

  void Fail(const absl::Status& why) {
    MutexLock lock(mutex);
    failure.Update(why);
  }

  void End(const absl::StatusOr<int>& code) {
    MutexLock lock(mutex);
    failure.Update(code.status());
    exit_code = code.value_or(0);
  }
};

absl::Status ExecSync::Check(const v1::ExecSyncRequest& request) {
  if (request.cmd_size() == 0) {
    return absl::InvalidArgumentError("check cmd: is empty");
  }
  if (request.timeout() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("check timeout: ", request.timeout(), " is negative"));
  }
  return absl::OkStatus();
}

absl::Status ExecSync::AttachOutput(const std::shared_ptr<Exec>& exec,
                                    pod::WithFds<keeper::v1::ExecPlan>& plan) {
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  for (const int fd : {out.read.get(), err.read.get()}) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
      return ErrnoError("set", "pipe non-blocking");
    }
  }
  plan.message.set_stdout_fd(plan.Attach(std::move(out.write)));
  plan.message.set_stderr_fd(plan.Attach(std::move(err.write)));
  ASSIGN_OR_RETURN(
      exec->job,
      collector_.Add(std::move(out.read), std::move(err.read),
                     node_.config.limits.exec_output_bytes,
                     [this, exec](Output output) {
                       exec->answer->output = std::move(output);
                       ending_pool_.Post([this, exec] { Conclude(exec); });
                     }));
  return absl::OkStatus();
}

absl::Status ExecSync::Begin(const v1::ExecSyncRequest& request,
                             const std::shared_ptr<Exec>& exec) {
  ASSIGN_OR_RETURN(const core::ContainerPtr container,
                   registry_.FindContainer(request.container_id()));
  ASSIGN_OR_RETURN(const core::PodPtr pod,
                   registry_.FindPod(container->pod_id()));
  const core::ContainerFactsPtr facts = container->facts();
  if (facts->record.state() != state::v1::ContainerRecord::RUNNING) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it is ", core::StateName(facts->record.state()), ", not running"));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper,
                   pod->UsableKeeper());
  ASSIGN_OR_RETURN(const cgroup::Cgroup outer,
                   cgroup::Cgroup::Open(node_.layout, facts->record.cgroup()));
  pod::WithFds<keeper::v1::ExecPlan> plan;
  RETURN_IF_ERROR(AttachOutput(exec, plan));
  // Before the keeper hears of it: its end may be told before its begin.
  exec->id = execs_.Add(pod->id(), [this, exec](absl::StatusOr<int> code) {
    exec->End(code);
    collector_.SetEnded(exec->job);
  });
  // A cgroup of its own: a timeout kills all of the exec, and nothing else.
  ASSIGN_OR_RETURN(exec->group, outer.CreateUnifiedChild(exec->id));
  plan.message.set_exec_id(exec->id);
  plan.message.set_container_id(container->id());
  *plan.message.mutable_argv() = request.cmd();
  RETURN_IF_ERROR(AttachCgroup(*exec->group, outer, plan));
  Limit(request, exec);
  exec->operation->Enter("start program");
  return keeper
      ->Exec(std::move(plan),
             Deadline::Earlier(exec->timeout, exec->operation->deadline()))
      .status();
}

void ExecSync::GiveUp(const std::shared_ptr<Exec>& exec,
                      const absl::Status& why) {
  exec->Fail(why);
  // At once: a child that is stopped before its program holds up the call that
  // starts it.
  if (const absl::Status killed = exec->group->Kill(); !killed.ok()) {
    LogWarning(absl::StrCat(exec->operation->name(), ": ", killed.message()));
  }
  collector_.Stop(exec->job);
}

void ExecSync::Limit(const v1::ExecSyncRequest& request,
                     const std::shared_ptr<Exec>& exec) {
  exec->timer =
      timers_.At(exec->timeout, [this, exec, seconds = request.timeout()] {
        GiveUp(exec, absl::DeadlineExceededError(
                         absl::StrCat(seconds, " s are over, it was killed")));
      });
  exec->operation->OnAbandoned([this, exec] {
    GiveUp(exec, absl::CancelledError("nobody waits for it, it was killed"));
  });
}

void ExecSync::Run(const v1::ExecSyncRequest& request, Deadline timeout,
                   const core::OperationPtr& operation,
                   const std::shared_ptr<Answer>& answer) {
  auto exec = std::make_shared<Exec>();
  exec->operation = operation;
  exec->answer = answer;
  exec->timeout = timeout;
  const absl::Status begun = Begin(request, exec);
  if (exec->job == 0) {
    operation->Finish(begun);
    return;
  }
  if (begun.ok()) {
    operation->Enter("await its end");
  } else if (exec->group.has_value()) {
    GiveUp(exec, begun);
  } else {
    exec->Fail(begun);
    collector_.Stop(exec->job);
  }
}

void ExecSync::Conclude(const std::shared_ptr<Exec>& exec) {
  timers_.Cancel(exec->timer);
  execs_.Remove(exec->id);
  // What was given up still runs; what has ended may have left children.
  const absl::Status ended =
      exec->group.has_value() ? EndGroup(*exec->group) : absl::OkStatus();
  if (!ended.ok()) {
    LogWarning(absl::StrCat(exec->operation->name(), ": ", ended.message()));
  }
  absl::Status failure;
  {
    MutexLock lock(exec->mutex);
    failure = exec->failure;
    exec->answer->exit_code = exec->exit_code;
  }
  exec->operation->OnAbandoned([] {});
  exec->operation->Finish(failure.ok() ? core::Operation::Result(exec->id)
                                       : core::Operation::Result(failure));
}

}  // namespace caisson::ops
