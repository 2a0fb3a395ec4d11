#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/status.h"
#include "runtime/keeper/exec.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

StepResult CheckExec(ExecContext& context) {
  if (context.plan.argv_size() == 0) {
    return absl::InvalidArgumentError("check plan: no program");
  }
  if (context.container->state != Container::State::kRunning) {
    return absl::FailedPreconditionError("check container: not running");
  }
  context.exec = std::make_unique<Exec>();
  context.exec->id = context.plan.exec_id();
  context.exec->container_id = context.plan.container_id();
  return absl::OkStatus();
}

StepResult OpenExecStdio(ExecContext& context) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  context.channel.fd.reset(ends[0]);
  context.child_channel.reset(ends[1]);
  const kernel::Owner owner = context.container->owner;
  for (const uint32_t position :
       {context.plan.stdin_fd(), context.plan.stdout_fd(),
        context.plan.stderr_fd()}) {
    const int fd = context.fds.Borrow(position);
    if (fd >= 0 && fchown(fd, owner.uid, owner.gid) != 0) {
      return ErrnoError("change owner of", "pipe");
    }
  }
  return absl::OkStatus();
}

StepResult ForkExec(ExecContext& context) {
  kernel::ForkOptions options;
  options.cgroup = context.fds.Borrow(context.plan.cgroup().unified_fd());
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    v1::Process process = context.container->process;
    *process.mutable_argv() = context.plan.argv();
    process.set_tty(context.plan.tty());
    ChildContext child{context.pod, process};
    child.channel = context.child_channel.get();
    child.stdin_fd = context.fds.Borrow(context.plan.stdin_fd());
    child.stdout_fd = context.fds.Borrow(context.plan.stdout_fd());
    child.stderr_fd = context.fds.Borrow(context.plan.stderr_fd());
    for (const uint32_t position : context.plan.cgroup().tasks_fds()) {
      child.tasks.push_back(context.fds.Borrow(position));
    }
    child.join = &context.container->namespaces;
    context.channel.fd.reset();
    RunExec(child);
  }
  context.stage = std::move(forked.pidfd);
  context.child_channel.reset();
  // The other ends of its pipes belong to whoever reads them.
  context.fds.Close();
  return absl::OkStatus();
}

StepResult AwaitProgram(ExecContext& context) {
  // execve closes the child's end of the channel: no news is good news.
  StepResult result = AwaitReport(context.channel, context.report,
                                  context.failed, absl::OkStatus());
  if (!result.ok()) {
    return result;
  }
  context.exec->pid = context.report.init_pid;
  context.exec->pidfd = std::move(context.report.init);
  if (!context.exec->pidfd.ok()) {
    return absl::AbortedError("the child ended without a word");
  }
  return absl::OkStatus();
}

StepResult ReapExecStage(ExecContext& context) {
  return AwaitEnd(context.stage, context.reaper);
}

constexpr Step<ExecContext, StepResult> kExecTable[] = {
    {"check-exec", CheckExec},
    {"open-exec-stdio", OpenExecStdio},
    {"fork-exec", ForkExec},
    {"await-program", AwaitProgram},
    {"reap-exec-stage", ReapExecStage},
};

}  // namespace

StepNames ExecStepNames() {
  StepNames names;
  AppendNames<ExecContext, StepResult>(kExecTable, names);
  return names;
}

StepResult ExecWork::Resume() {
  if (status_.ok()) {
    StepResult result = ResumeSteps<ExecContext>(kExecTable, context_);
    if (result.waits()) {
      return result;
    }
    absl::Status status = result.status();
    if (status.ok()) {
      status = finish_(context_);
    }
    if (status.ok()) {
      return status;
    }
    BeginEnd(status);
  }
  if (StepResult result = end_->Resume(); result.waits()) {
    return result;
  }
  return status_;
}

void ExecWork::Cancel(const absl::Status& why) {
  if (status_.ok()) {
    BeginEnd(why);
  }
}

void ExecWork::BeginEnd(const absl::Status& status) {
  status_ = status;
  if (failed_ != nullptr) {
    *failed_ = context_.failed;
  }
  UniqueFd init = std::move(context_.report.init);
  if (!init.ok() && context_.exec != nullptr) {
    init = std::move(context_.exec->pidfd);
  }
  end_.emplace(context_.reaper, std::move(context_.stage),
               std::move(context_.channel), std::move(init));
}

}  // namespace caisson::keeper
