#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/rollback.h"
#include "runtime/base/status.h"
#include "shim/cri/cgroup_fds.h"
#include "shim/cri/runtime.h"
#include "shim/cri/status_mapping.h"

namespace caisson::cri {
namespace {

// What a background child of the exec may still write after its end.
constexpr int64_t kDrainNanos = 100 * 1000 * 1000;
constexpr int64_t kNanosPerMilli = 1000 * 1000;
constexpr absl::Duration kKillTimeout = absl::Seconds(10);

// One of the exec's output streams, capped.
struct Output {
  UniqueFd pipe;
  std::string bytes;

  // False at its end.
  bool Read(size_t cap) {
    char buffer[65536];
    for (;;) {
      const ssize_t got = read(pipe.get(), buffer, sizeof(buffer));
      if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
      }
      if (got == 0) {
        return false;
      }
      const size_t room = cap - std::min(cap, bytes.size());
      bytes.append(buffer, std::min(room, static_cast<size_t>(got)));
    }
  }
};

absl::Status MakeOutput(Output& output, UniqueFd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  output.pipe.reset(ends[0]);
  write_end.reset(ends[1]);
  return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0
             ? absl::OkStatus()
             : ErrnoError("set", "pipe non-blocking");
}

absl::Status AttachOutputs(Output (&outputs)[2],
                           pod::WithFds<keeper::v1::ExecPlan>& plan) {
  UniqueFd ends[2];
  RETURN_IF_ERROR(MakeOutput(outputs[0], ends[0]));
  RETURN_IF_ERROR(MakeOutput(outputs[1], ends[1]));
  plan.message.set_stdout_fd(plan.Attach(std::move(ends[0])));
  plan.message.set_stderr_fd(plan.Attach(std::move(ends[1])));
  return absl::OkStatus();
}

// Reads both until the exec has ended and they are drained.  False when
// `timeout` (nanoseconds, 0: none) passed first.
bool Collect(Output (&outputs)[2], int event, int64_t timeout, size_t cap) {
  const int64_t begin = MonotonicNanos();
  int64_t deadline = timeout == 0 ? INT64_MAX : begin + timeout;
  bool ended = false;
  for (;;) {
    const int64_t left = deadline - MonotonicNanos();
    if (left <= 0) {
      return ended;
    }
    if (ended && !outputs[0].pipe.ok() && !outputs[1].pipe.ok()) {
      return true;
    }
    pollfd waits[3] = {{outputs[0].pipe.get(), POLLIN, 0},
                       {outputs[1].pipe.get(), POLLIN, 0},
                       {ended ? -1 : event, POLLIN, 0}};
    const int64_t millis = std::min<int64_t>(left / kNanosPerMilli + 1, 60000);
    poll(waits, 3, static_cast<int>(millis));
    for (int i = 0; i < 2; ++i) {
      if (waits[i].revents != 0 && !outputs[i].Read(cap)) {
        outputs[i].pipe.reset();
      }
    }
    if (waits[2].revents != 0) {
      ended = true;
      deadline = std::min(deadline, MonotonicNanos() + kDrainNanos);
    }
  }
}

absl::Status CheckRequest(const v1::ExecSyncRequest& request) {
  if (request.cmd_size() == 0) {
    return absl::InvalidArgumentError("exec: check cmd: is empty");
  }
  if (request.timeout() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "exec: check timeout: ", request.timeout(), " is negative"));
  }
  return absl::OkStatus();
}

absl::Status EndGroup(const cgroup::Cgroup& group) {
  // Nearly always nothing runs in it any more.
  if (group.Destroy().ok()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(group.Kill());
  RETURN_IF_ERROR(group.WaitUntilEmpty(kKillTimeout));
  return group.Destroy();
}

// Answers with what was collected, or why there is no answer.
absl::Status Finish(const v1::ExecSyncRequest& request, bool in_time,
                    ExecWait& wait, Output (&outputs)[2],
                    v1::ExecSyncResponse& response) {
  if (!in_time) {
    return absl::DeadlineExceededError(
        absl::StrCat("exec in container ", request.container_id(), ": ",
                     request.timeout(), " s are over, it was killed"));
  }
  const std::lock_guard<std::mutex> lock(wait.mutex);
  if (wait.keeper_gone) {
    return absl::UnavailableError(absl::StrCat("exec in container ",
                                               request.container_id(),
                                               ": the pod's keeper has ended"));
  }
  response.set_exit_code(wait.exit_code);
  response.mutable_stdout()->swap(outputs[0].bytes);
  response.mutable_stderr()->swap(outputs[1].bytes);
  return absl::OkStatus();
}

}  // namespace

std::string Runtime::AddExec(std::shared_ptr<ExecWait> wait) {
  // Random: an exec of before a restart may still run under its name.
  std::string id = absl::StrCat("exec-", GenerateId().substr(0, 16));
  const std::lock_guard<std::mutex> lock(exec_mutex_);
  execs_[id] = std::move(wait);
  return id;
}

absl::StatusOr<std::string> Runtime::CheckRunning(Container& container) {
  const std::lock_guard<std::mutex> lock(container.mutex);
  if (container.record.state() != state::v1::ContainerRecord::RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("exec in container ", container.id, ": it does not run"));
  }
  return container.record.cgroup();
}

absl::Status Runtime::ExecSync(const v1::ExecSyncRequest& request,
                               v1::ExecSyncResponse& response) {
  RETURN_IF_ERROR(CheckRequest(request));
  ASSIGN_OR_RETURN(const ContainerPtr container,
                   FindContainer(request.container_id()));
  ASSIGN_OR_RETURN(const SandboxPtr pod, FindPod(container->pod_id));
  ASSIGN_OR_RETURN(const std::string path, CheckRunning(*container));
  ASSIGN_OR_RETURN(const std::shared_ptr<pod::Keeper> keeper, KeeperOf(*pod));
  ASSIGN_OR_RETURN(const cgroup::Cgroup outer,
                   cgroup::Cgroup::Open(parts_.layout, path));
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  auto wait = std::make_shared<ExecWait>();
  wait->event = event.get();
  wait->pod_id = pod->id;
  const std::string exec_id = AddExec(wait);
  Rollback forget;
  forget.Add("exec", [&] {
    const std::lock_guard<std::mutex> lock(exec_mutex_);
    execs_.erase(exec_id);
    return absl::OkStatus();
  });
  // A cgroup of its own: a timeout kills all of the exec, and nothing else.
  absl::StatusOr<cgroup::Cgroup> group = outer.CreateUnifiedChild(exec_id);
  RETURN_IF_ERROR(Annotate(FromWork(group.status()), "exec"));
  Rollback end;  // after the group it uses
  end.Add("cgroup", [&] { return EndGroup(*group); });
  pod::WithFds<keeper::v1::ExecPlan> plan;
  plan.message.set_exec_id(exec_id);
  plan.message.set_container_id(container->id);
  *plan.message.mutable_argv() = request.cmd();
  RETURN_IF_ERROR(AttachCgroup(*group, outer, plan));
  Output outputs[2];
  RETURN_IF_ERROR(AttachOutputs(outputs, plan));
  RETURN_IF_ERROR(Annotate(
      FromWork(keeper->Exec(std::move(plan), Deadline::After(absl::Hours(1)))
                   .status()),
      "exec"));
  const bool in_time =
      Collect(outputs, event.get(), request.timeout() * 1000 * kNanosPerMilli,
              parts_.config.limits.exec_output_bytes);
  return Finish(request, in_time, *wait, outputs, response);
}

}  // namespace caisson::cri
