#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
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

absl::Status CheckPlan(CreateContext& context) {
  if (context.plan.process().argv_size() == 0) {
    return absl::InvalidArgumentError("check plan: no program");
  }
  if (context.fds.Borrow(context.plan.cgroup().unified_fd()) < 0) {
    return absl::InvalidArgumentError("check plan: no cgroup");
  }
  context.container = std::make_unique<Container>();
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

absl::Status OpenStdio(CreateContext& context) {
  Container& container = *context.container;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  container.channel.reset(ends[0]);
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

absl::Status ForkChild(CreateContext& context) {
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
    context.container->channel.reset();
    RunInit(child);
  }
  context.stage = std::move(forked.pidfd);
  context.child_channel.reset();
  context.child_stdin.reset();
  context.child_stdout.reset();
  context.child_stderr.reset();
  return absl::OkStatus();
}

absl::Status AwaitReady(CreateContext& context) {
  Container& container = *context.container;
  ChildReport report;
  absl::Status status = AwaitReport(container.channel.get(), context.loop,
                                    report, context.failed, ChildEnded());
  if (status.ok() && !report.init.ok()) {
    status = AwaitInit(container.channel.get(), context.stage.get(),
                       context.loop, report);
  }
  container.pid = report.init_pid;
  container.pidfd = std::move(report.init);
  container.terminal = std::move(report.terminal);
  RETURN_IF_ERROR(status);
  context.read_back = std::move(*report.message.mutable_read_back());
  context.times.MergeFrom(report.message.steps());
  return absl::OkStatus();
}

absl::Status HoldContainerNamespaces(CreateContext& context) {
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

absl::Status ReapStage(CreateContext& context) {
  const absl::StatusOr<int> code = kernel::Reap(context.stage.get(), true);
  RETURN_IF_ERROR(code.status());
  context.stage.reset();
  return absl::OkStatus();
}

constexpr Step<CreateContext> kCreateSteps[] = {
    {"check-plan", CheckPlan},
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

void KillAndReap(UniqueFd& pidfd) {
  if (!pidfd.ok()) {
    return;
  }
  [[maybe_unused]] absl::Status ended =
      kernel::SignalProcess(pidfd.get(), SIGKILL);
  ended = kernel::Reap(pidfd.get(), true).status();
  pidfd.reset();
}

void EndChildren(UniqueFd& stage, int channel, UniqueFd& init) {
  if (stage.ok()) {
    // Not killed: it may have made the init and not said so yet.
    [[maybe_unused]] const absl::Status ended =
        kernel::Reap(stage.get(), true).status();
    stage.reset();
  }
  pollfd readable = {channel, POLLIN, 0};
  while (!init.ok() && channel >= 0 && poll(&readable, 1, 0) > 0) {
    absl::StatusOr<ReceivedMessage> received = ReceiveMessage(channel);
    if (!received.ok()) {
      break;
    }
    if (received->message.init_pid() != 0 && received->fds.size() == 1) {
      init = std::move(received->fds[0]);
    }
  }
  KillAndReap(init);
}

absl::Status AwaitReport(int channel, EventLoop& loop, ChildReport& report,
                         std::string& failed, const absl::Status& ended) {
  for (;;) {
    RETURN_IF_ERROR(loop.RunUntilReadable(channel));
    absl::StatusOr<ReceivedMessage> received = ReceiveMessage(channel);
    if (absl::IsOutOfRange(received.status())) {
      return ended;
    }
    RETURN_IF_ERROR(received.status());
    v1::ChildMessage& message = received->message;
    if (message.init_pid() != 0 && received->fds.size() == 1) {
      report.init_pid = message.init_pid();
      report.init = std::move(received->fds[0]);
      continue;
    }
    if (message.has_error()) {
      failed = message.error().step();
      return ToStatus(message.error());
    }
    if (message.terminal_fd() == 1 && received->fds.size() == 1) {
      report.terminal = std::move(received->fds[0]);
      continue;
    }
    if (message.root_fd() == 1 && received->fds.size() == 1) {
      report.root = std::move(received->fds[0]);
      return absl::OkStatus();
    }
    report.message = std::move(message);
    return absl::OkStatus();
  }
}

absl::Status ChildEnded() {
  return absl::AbortedError(
      "the child ended without a word (killed, or out of memory)");
}

absl::Status AwaitInit(int channel, int stage, EventLoop& loop,
                       ChildReport& report) {
  // It reports before it ends, whatever ends it.
  RETURN_IF_ERROR(loop.RunUntilReadable(stage));
  pollfd readable = {channel, POLLIN, 0};
  if (poll(&readable, 1, 0) > 0) {
    ASSIGN_OR_RETURN(ReceivedMessage received, ReceiveMessage(channel));
    if (received.message.init_pid() != 0 && received.fds.size() == 1) {
      report.init_pid = received.message.init_pid();
      report.init = std::move(received.fds[0]);
      return absl::OkStatus();
    }
  }
  return absl::AbortedError("the child ended without a word of its init");
}

StepNames CreateStepNames() {
  StepNames names;
  AppendNames<CreateContext>(kCreateSteps, names);
  return names;
}

absl::Status CreateContainer(CreateContext& context) {
  absl::Status status = RunSteps<CreateContext>(kCreateSteps, context);
  if (status.ok()) {
    return status;
  }
  UniqueFd none;
  Container* const container = context.container.get();
  if (container != nullptr && container->channel.ok()) {
    // A child that awaits its root or its start must hear that none comes.
    shutdown(container->channel.get(), SHUT_WR);
  }
  EndChildren(context.stage,
              container == nullptr ? -1 : container->channel.get(),
              container == nullptr ? none : container->pidfd);
  return status;
}

}  // namespace caisson::keeper
