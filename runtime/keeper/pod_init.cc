#include "runtime/keeper/pod_init.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/stage.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

absl::Status MakeInitNamespaces(ChildContext& /*context*/) {
  if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) {
    return ErrnoError("make", "namespaces");
  }
  return absl::OkStatus();
}

// Here the empty root is mounted.
absl::Status EnterStage(ChildContext& /*context*/) {
  RETURN_IF_ERROR(EnterStageCopy());
  if (chdir(kStageRoot) != 0) {
    return ErrnoError("enter", kStageRoot);
  }
  return absl::OkStatus();
}

// Nothing of the host can be reached through /proc/1/root.
absl::Status EnterEmptyRoot(ChildContext& context) {
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("nr_inodes", "2"));
  RETURN_IF_ERROR(tmpfs.SetContext(context.pod.file_context));
  ASSIGN_OR_RETURN(UniqueFd root,
                   tmpfs.Mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                               MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  const UniqueFd target(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target.ok()) {
    return ErrnoError("open", "stage");
  }
  RETURN_IF_ERROR(kernel::AttachMount(root.get(), target.get()));
  context.root = std::move(root);
  return steps::PivotRoot(context);
}

absl::Status DropEverything(ChildContext& /*context*/) {
  return kernel::DropEverything();
}

constexpr Step<ChildContext> kPodInitSteps[] = {
    {"forbid-tracing", steps::ForbidTracing},
    {"enter-stage", EnterStage},
    {"enter-pod-namespaces", steps::EnterPodNamespaces},
    {"make-init-namespaces", MakeInitNamespaces},
    {"close-keeper-files", steps::CloseKeeperFiles},
    {"become-init", steps::BecomeInit},
    {"start-session", steps::StartSession},
    {"enter-empty-root", EnterEmptyRoot},
    {"drop-everything", DropEverything},
};

[[noreturn]] void ReapForEver() {
  // As pid 1 it gets no signal it does not handle; SIGCHLD needs no handler,
  // for waiting is all it does.
  for (;;) {
    if (waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) {
      // Nothing to wait for yet: sleep until a child is given to us.
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGCHLD);
      siginfo_t info;
      sigwaitinfo(&set, &info);
    }
  }
}

[[noreturn]] void RunPodInit(ChildContext& context) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_SETMASK, &set, nullptr);
  const absl::Status status = RunSteps<ChildContext>(kPodInitSteps, context);
  v1::ChildMessage message;
  message.set_ready(status.ok());
  if (!status.ok()) {
    message.mutable_error()->set_code(static_cast<int>(status.code()));
    message.mutable_error()->set_message(std::string(status.message()));
    message.mutable_error()->set_step(context.failed);
  }
  if (!SendMessage(context.channel, message, {}).ok() || !status.ok()) {
    _exit(1);
  }
  prctl(PR_SET_NAME, "caisson-init", 0, 0, 0);
  close_range(0, ~0U, 0);
  ReapForEver();
}

}  // namespace

absl::Status PodInitWork::Begin() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  channel_.fd.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork({}));
  if (forked.pid == 0) {
    channel_.fd.reset();
    const v1::Process none;
    ChildContext child{pod_, none};
    child.channel = theirs.get();
    RunPodInit(child);
  }
  stage_ = std::move(forked.pidfd);
  return absl::OkStatus();
}

StepResult PodInitWork::Await() {
  if (!stage_.ok()) {
    RETURN_IF_ERROR(Begin());
  }
  if (!report_.complete) {
    std::string failed;
    StepResult result =
        AwaitReport(channel_, report_, failed,
                    absl::AbortedError("the pod's init ended without a word"));
    if (!result.ok()) {
      return result;
    }
  }
  if (!report_.init.ok()) {
    return AwaitInit(channel_, stage_.get(), report_);
  }
  return absl::OkStatus();
}

absl::Status PodInitWork::Finish() {
  reaper_.Leave(std::move(stage_));
  init_.pid = report_.init_pid;
  ASSIGN_OR_RETURN(
      init_.pid_namespace,
      kernel::OpenNamespace(report_.init.get(), kernel::Namespace::kPid));
  init_.pidfd = std::move(report_.init);
  return absl::OkStatus();
}

StepResult PodInitWork::Resume() {
  if (status_.ok()) {
    StepResult result = Await();
    if (result.waits()) {
      return result;
    }
    const absl::Status status = result.ok() ? Finish() : result.status();
    if (status.ok()) {
      return status;
    }
    Cancel(status);
  }
  if (StepResult result = end_->Resume(); result.waits()) {
    return result;
  }
  return Annotate(status_, "start pod init");
}

void PodInitWork::Cancel(const absl::Status& why) {
  if (status_.ok()) {
    status_ = why;
    end_.emplace(reaper_, std::move(stage_), std::move(channel_),
                 std::move(report_.init));
  }
}

}  // namespace caisson::keeper
