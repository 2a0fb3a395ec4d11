#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/status.h"
#include "runtime/keeper/container.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

struct ExecContext {
  const v1::ExecPlan& plan;
  RequestFds& fds;
  const Pod& pod;
  const Container& container;
  EventLoop& loop;
  StepTimes& times;
  std::string& failed;

  UniqueFd channel;
  UniqueFd child_channel;
  UniqueFd stage;
  std::unique_ptr<Exec> exec;
};

absl::Status CheckExec(ExecContext& context) {
  if (context.plan.argv_size() == 0) {
    return absl::InvalidArgumentError("check plan: no program");
  }
  if (context.container.state != Container::State::kRunning) {
    return absl::FailedPreconditionError("check container: not running");
  }
  context.exec = std::make_unique<Exec>();
  context.exec->id = context.plan.exec_id();
  context.exec->container_id = context.plan.container_id();
  return absl::OkStatus();
}

absl::Status OpenExecStdio(ExecContext& context) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  context.channel.reset(ends[0]);
  context.child_channel.reset(ends[1]);
  const kernel::Owner owner = context.container.owner;
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

absl::Status ForkExec(ExecContext& context) {
  kernel::ForkOptions options;
  options.cgroup = context.fds.Borrow(context.plan.cgroup().unified_fd());
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    v1::Process process = context.container.process;
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
    child.join = &context.container.namespaces;
    context.channel.reset();
    RunExec(child);
  }
  context.stage = std::move(forked.pidfd);
  context.child_channel.reset();
  return absl::OkStatus();
}

absl::Status AwaitProgram(ExecContext& context) {
  ChildReport report;
  // execve closes the child's end of the channel: no news is good news.
  absl::Status status = AwaitReport(context.channel.get(), context.loop, report,
                                    context.failed, absl::OkStatus());
  context.exec->pid = report.init_pid;
  context.exec->pidfd = std::move(report.init);
  RETURN_IF_ERROR(status);
  if (!context.exec->pidfd.ok()) {
    return absl::AbortedError("the child ended without a word");
  }
  return absl::OkStatus();
}

absl::Status ReapExecStage(ExecContext& context) {
  RETURN_IF_ERROR(kernel::Reap(context.stage.get(), true).status());
  context.stage.reset();
  return absl::OkStatus();
}

constexpr Step<ExecContext> kExecTable[] = {
    {"check-exec", CheckExec},
    {"open-exec-stdio", OpenExecStdio},
    {"fork-exec", ForkExec},
    {"await-program", AwaitProgram},
    {"reap-exec-stage", ReapExecStage},
};

}  // namespace

StepNames ExecStepNames() {
  StepNames names;
  AppendNames<ExecContext>(kExecTable, names);
  return names;
}

absl::StatusOr<std::unique_ptr<Exec>> RunExec(const v1::ExecPlan& plan,
                                              RequestFds& fds, const Pod& pod,
                                              const Container& container,
                                              EventLoop& loop, StepTimes& times,
                                              std::string& failed) {
  ExecContext context{plan,   fds, pod, container, loop, times,
                      failed, {},  {},  {},        {}};
  absl::Status status = RunSteps<ExecContext>(kExecTable, context);
  if (!status.ok()) {
    UniqueFd none;
    EndChildren(context.stage, context.channel.get(),
                context.exec == nullptr ? none : context.exec->pidfd);
    return status;
  }
  return std::move(context.exec);
}

}  // namespace caisson::keeper
