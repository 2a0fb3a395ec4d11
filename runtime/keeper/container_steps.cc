#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/create_hooks.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

// The kernel's default pipe of 64 KiB makes a noisy program wait for us.
constexpr int kPipeBytes = 256 * 1024;

StepResult CheckPlan(CreateContext& context) {
  if (context.plan.process().argv_size() == 0) {
    return absl::InvalidArgumentError("check plan: no program");
  }
  if (context.fds.Borrow(context.plan.cgroup().unified_fd()) < 0) {
    return absl::InvalidArgumentError("check plan: no cgroup");
  }
  context.container = std::make_shared<Container>();
  Container& container = *context.container;
  container.id = context.plan.container_id();
  container.process = context.plan.process();
  container.has_start_hooks = context.plan.start_hooks_size() > 0;
  container.owner.uid = HostId(context.pod.uids, container.process.uid());
  container.owner.gid = HostId(context.pod.gids, container.process.gid());
  container.log =
      std::make_unique<LogWriter>(context.fds.Take(context.plan.log_fd()));
  return absl::OkStatus();
}

StepResult FindNamespace(CreateContext& context) {
  return context.find_pid_namespace(context.plan, context.pid_namespace);
}

// A pipe whose inode is the container user's, so that it may reopen
// /dev/stdout.
absl::Status MakePipe(const Container& container, UniqueFd& read_end,
                      UniqueFd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  if (fchown(ends[0], container.owner.uid, container.owner.gid) != 0) {
    return ErrnoError("change owner of", "pipe");
  }
  return absl::OkStatus();
}

absl::Status OpenOutput(const Container& container, UniqueFd& mine,
                        UniqueFd& theirs) {
  RETURN_IF_ERROR(MakePipe(container, mine, theirs));
  // Smaller ones do as well, only slower.
  [[maybe_unused]] const int size = fcntl(mine.get(), F_SETPIPE_SZ, kPipeBytes);
  if (fcntl(mine.get(), F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoError("set", "pipe non-blocking");
  }
  return absl::OkStatus();
}

StepResult OpenStdio(CreateContext& context) {
  Container& container = *context.container;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  container.channel.fd.reset(ends[0]);
  context.child_channel.reset(ends[1]);
  if (context.plan.process().tty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      OpenOutput(container, container.stdout_pipe, context.child_stdout));
  RETURN_IF_ERROR(
      OpenOutput(container, container.stderr_pipe, context.child_stderr));
  if (context.plan.stdin_open()) {
    return MakePipe(container, context.child_stdin, container.stdin_pipe);
  }
  // Without one the child opens the null device that its container has.
  return absl::OkStatus();
}

StepResult ForkChild(CreateContext& context) {
  kernel::ForkOptions options;
  options.cgroup = context.fds.Borrow(context.plan.cgroup().unified_fd());
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    ChildContext child{context.pod, context.plan.process()};
    child.channel = context.child_channel.get();
    child.stdin_fd = context.child_stdin.get();
    child.stdout_fd = context.child_stdout.get();
    child.stderr_fd = context.child_stderr.get();
    for (const uint32_t position : context.plan.cgroup().tasks_fds()) {
      child.tasks.push_back(context.fds.Borrow(position));
    }
    child.plan = &context.plan;
    child.pid_namespace = context.pid_namespace;
    // Its end tells the child that the keeper is gone: no copy may stay.
    context.container->channel.fd.reset();
    RunInit(child);
  }
  context.stage = std::move(forked.pidfd);
  context.child_channel.reset();
  context.child_stdin.reset();
  context.child_stdout.reset();
  context.child_stderr.reset();
  context.fds.Close();
  return absl::OkStatus();
}

StepResult AwaitReady(CreateContext& context) {
  Container& container = *context.container;
  ChildReport& report = context.report;
  if (!report.complete) {
    StepResult result =
        AwaitReport(container.channel, report, context.failed, ChildEnded());
    if (!result.ok()) {
      return result;
    }
  }
  if (!report.init.ok()) {
    StepResult result =
        AwaitInit(container.channel, context.stage.get(), report);
    if (!result.ok()) {
      return result;
    }
  }
  container.pid = report.init_pid;
  container.pidfd = std::move(report.init);
  container.terminal = std::move(report.terminal);
  context.read_back = std::move(*report.message.mutable_read_back());
  context.times.MergeFrom(report.message.steps());
  return absl::OkStatus();
}

StepResult HoldContainerNamespaces(CreateContext& context) {
  Container& container = *context.container;
  using kernel::Namespace;
  const int pidfd = container.pidfd.get();
  ASSIGN_OR_RETURN(container.namespaces.mount,
                   kernel::OpenNamespace(pidfd, Namespace::kMount));
  ASSIGN_OR_RETURN(container.namespaces.pid,
                   kernel::OpenNamespace(pidfd, Namespace::kPid));
  container.namespaces.pid_of_host =
      context.plan.pid_mode() == v1::ContainerPlan::PID_NODE;
  ASSIGN_OR_RETURN(container.namespaces.cgroup,
                   kernel::OpenNamespace(pidfd, Namespace::kCgroup));
  return absl::OkStatus();
}

StepResult ReapStage(CreateContext& context) {
  return AwaitEnd(context.stage, context.reaper);
}

constexpr Step<CreateContext, StepResult> kCreateSteps[] = {
    {"check-plan", CheckPlan},
    // It may have to be made, which takes its time: nothing waits for it yet.
    {"find-pid-namespace", FindNamespace},
    {"open-stdio", OpenStdio},
    // Born in its cgroup: there is no moment outside of it.
    {"fork-child", ForkChild},
    // The child runs its own table meanwhile, up to lend-root-to-hooks.
    {"run-create-hooks", RunCreateHooks},
    // Up to await-start.
    {"await-ready", AwaitReady},
    {"reap-stage", ReapStage},
    // Held from here on, for execs.
    {"hold-container-namespaces", HoldContainerNamespaces},
};

}  // namespace

StepNames CreateStepNames() {
  StepNames names;
  AppendNames<CreateContext, StepResult>(kCreateSteps, names);
  return names;
}

StepResult CreateWork::Resume() {
  if (status_.ok()) {
    StepResult result = ResumeSteps<CreateContext>(kCreateSteps, context_);
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

void CreateWork::Cancel(const absl::Status& why) {
  if (status_.ok()) {
    BeginEnd(why);
  }
}

void CreateWork::BeginEnd(const absl::Status& status) {
  status_ = status;
  if (failed_ != nullptr) {
    *failed_ = context_.failed;
  }
  context_.hooks.reset();
  ChildChannel channel;
  UniqueFd init = std::move(context_.report.init);
  if (context_.container != nullptr) {
    channel = std::move(context_.container->channel);
    if (!init.ok()) {
      init = std::move(context_.container->pidfd);
    }
  }
  end_.emplace(context_.reaper, std::move(context_.stage), std::move(channel),
               std::move(init));
}

}  // namespace caisson::keeper
