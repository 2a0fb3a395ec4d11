#include "runtime/keeper/child.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child_message.h"

namespace caisson::keeper {
namespace {

using ChildStep = Step<ChildContext>;

// Handed over and closed before the container is said to be ready: from then
// on nobody finds more files in it than it will have.
absl::Status HandTerminal(ChildContext& context) {
  if (!context.terminal.ok()) {
    return absl::OkStatus();
  }
  v1::ChildMessage message;
  message.set_terminal_fd(1);
  RETURN_IF_ERROR(
      SendMessage(context.channel, message, {context.terminal.get()}));
  context.terminal.reset();
  return absl::OkStatus();
}

absl::Status ReportReady(ChildContext& context) {
  RETURN_IF_ERROR(HandTerminal(context));
  v1::ChildMessage message;
  message.set_ready(true);
  *message.mutable_steps() = context.times;
  *message.mutable_read_back() = context.read_back;
  return SendMessage(context.channel, message, {});
}

absl::Status AwaitStart(ChildContext& context) {
  RETURN_IF_ERROR(ReportReady(context));
  char byte = 0;
  // The end of the channel: the keeper is gone or removed the container.
  if (read(context.channel, &byte, 1) != 1) {
    _exit(1);
  }
  return absl::OkStatus();
}

// Order is the design.  A step may rely only on the steps above it.
constexpr ChildStep kInitSteps[] = {
    // As host root: v1 controllers first, a foreign pid written to
    // cgroup.procs would cost 10 ms.
    {"enter-controllers", steps::EnterControllers},
    // While this is host root: the pod's root may raise nothing.
    {"set-rlimits", steps::SetRlimits},
    // Before the namespaces: below 0 it takes the host's privileges.
    {"set-oom-score", steps::SetOomScore},
    // Before the first namespace of the pod, so that nobody in it can look
    // into this process (CVE-2016-9962).
    {"forbid-tracing", steps::ForbidTracing},
    {"enter-host-mounts", steps::EnterHostMounts},
    // Before anything of the image is attached, so that nothing of it can
    // become a source (CVE-2021-30465), and while the mounts are the host's
    // own: what propagates must be a peer of those.
    {"take-sources", steps::TakeSources},
    {"take-devices", steps::TakeDevices},
    {"enter-stage", steps::EnterStage},
    {"mount-root", steps::MountRoot},
    {"create-devices", steps::CreateDevices},
    // After the devices: a volume may lie below /dev.
    {"mount-volumes", steps::MountVolumes},
    // With all in place, and while host root may still write there.
    {"lend-root-to-hooks", steps::LendRootToHooks},
    // After the last mount point was created.
    {"seal-root", steps::SealRoot},
    // The user namespace first: it owns the others.
    {"enter-pod-namespaces", steps::EnterPodNamespaces},
    // The copy of the mount namespace locks what was mounted above.
    {"create-own-namespaces", steps::CreateOwnNamespaces},
    // Before a pid namespace that others may be in: who can trace us there,
    // as root with CAP_SYS_PTRACE may, finds nothing of the keeper's.
    {"close-keeper-files", steps::CloseKeeperFiles},
    // From here on we are the container's init, a child of the keeper.
    {"become-init", steps::BecomeInit},
    {"start-session", steps::StartSession},
    // A mount that is locked can't be pivoted to; a clone of it can.
    {"clone-root", steps::CloneRoot},
    // Before the old root goes: the kernel wants an unmasked instance in
    // sight.
    {"mount-kernel-filesystems", steps::MountKernelFilesystems},
    {"pivot-root", steps::PivotRoot},
    // After the last mount that could stand over one, before the masks, which
    // may.
    {"check-volumes", steps::CheckVolumes},
    // After pivot-root: these paths are the container's.
    {"hide-kernel-paths", steps::HideKernelPaths},
    // While the procfs we mounted is at hand.
    {"read-id-maps", steps::ReadIdMaps},
};

constexpr ChildStep kExecSteps[] = {
    {"enter-controllers", steps::EnterControllers},
    {"set-rlimits", steps::SetRlimits},
    // Before the namespaces: below 0 it takes the host's privileges.
    {"set-oom-score", steps::SetOomScore},
    {"forbid-tracing", steps::ForbidTracing},
    {"enter-pod-namespaces", steps::EnterPodNamespaces},
    // The mount namespace changes root and working directory to the
    // container's.
    {"enter-container-namespaces", steps::EnterContainerNamespaces},
    {"close-keeper-files", steps::CloseKeeperFiles},
    // Only a child is in the pid namespace.
    {"become-init", steps::BecomeInit},
    {"start-session", steps::StartSession},
};

// Becoming the container's process: the same for start and exec.
constexpr ChildStep kProcessSteps[] = {
    {"attach-stdio", steps::AttachStdio},
    {"enter-working-directory", steps::EnterWorkingDirectory},
    // While the root is at hand; they are entered by execve.
    {"set-security-labels", steps::SetSecurityLabels},
    // Closed, not marked: execve of /proc/self/fd/N must find nothing.
    {"close-other-files", steps::CloseOtherFiles},
    // No way back below this line: a failure reports and exits.
    {"drop-bounding-set", steps::DropBoundingSet},
    {"switch-user", steps::SwitchUser},
    // Without no_new_privileges the filter needs CAP_SYS_ADMIN, which is kept,
    // not in effect, until the filter is loaded.
    {"set-capabilities", steps::SetCapabilities},
    {"forbid-new-privileges", steps::ForbidNewPrivileges},
    // What was asked for is compared with what the kernel has.
    {"read-back", steps::ReadBack},
};

constexpr ChildStep kReadySteps[] = {
    // Reports that all is ready, and create returns; whatever can fail has
    // failed by now.
    {"await-start", AwaitStart},
};

constexpr ChildStep kStartSteps[] = {
    // As the program will be; each loads the filter itself.
    {"run-start-hooks", steps::RunStartHooks},
};

constexpr ChildStep kLastSteps[] = {
    // All but the execve, for which the filter must allow nothing more.
    {"prepare-program", steps::PrepareProgram},
    // Loaded by Become(), right before the program.
    {"load-seccomp", steps::PrepareSeccomp},
};

// A filter may allow write(2), as other runtimes need it, and not sendmsg(2).
void Report(ChildContext& context, const v1::ChildMessage& message) {
  if (SendMessage(context.channel, message, {}).ok()) {
    return;
  }
  const std::string bytes = message.SerializeAsString();
  std::string frame;
  for (int shift = 0; shift < 32; shift += 8) {
    frame.push_back(static_cast<char>(bytes.size() >> shift & 0xff));
  }
  frame += bytes;
  // The keeper sees the end of the channel if this fails.
  [[maybe_unused]] const ssize_t written =
      write(context.channel, frame.data(), frame.size());
}

[[noreturn]] void Fail(ChildContext& context, const absl::Status& status) {
  v1::ChildMessage message;
  *message.mutable_error() = ToError(status, context.failed);
  Report(context, message);
  _exit(1);
}

template <size_t count>
void Run(const ChildStep (&table)[count], ChildContext& context) {
  const absl::Status status = RunSteps<ChildContext>(table, context);
  if (!status.ok()) {
    Fail(context, status);
  }
}

// The filter applies from its load on, so nothing else stands here: a profile
// that allows capset(2), execve(2) and exit_group(2) will do, and so will
// whatever other runtimes ask for.
[[noreturn]] void Become(ChildContext& context) {
  absl::Status status = steps::LoadSeccomp(context);
  if (status.ok()) {
    status = context.program.Execute();
  } else {
    context.failed = "load-seccomp";
  }
  Fail(context, status);
}

}  // namespace

StepNames InitStepNames() {
  StepNames names;
  AppendNames<ChildContext>(kInitSteps, names);
  AppendNames<ChildContext>(kProcessSteps, names);
  AppendNames<ChildContext>(kReadySteps, names);
  AppendNames<ChildContext>(kStartSteps, names);
  AppendNames<ChildContext>(kLastSteps, names);
  return names;
}

StepNames ExecChildStepNames() {
  StepNames names;
  AppendNames<ChildContext>(kExecSteps, names);
  AppendNames<ChildContext>(kProcessSteps, names);
  AppendNames<ChildContext>(kLastSteps, names);
  return names;
}

void RunInit(ChildContext& context) {
  Run(kInitSteps, context);
  Run(kProcessSteps, context);
  Run(kReadySteps, context);
  Run(kStartSteps, context);
  Run(kLastSteps, context);
  Become(context);
}

void RunExec(ChildContext& context) {
  Run(kExecSteps, context);
  Run(kProcessSteps, context);
  Run(kLastSteps, context);
  Become(context);
}

}  // namespace caisson::keeper
