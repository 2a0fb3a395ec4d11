#include <fcntl.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/supervisor.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/procfs.h"

namespace caisson::keeper {
namespace {

constexpr char kSeccompLine[] = "\nSeccomp:\t";

// Mode of seccomp(2) of a process, or -1 when it is gone.
int ReadSeccompMode(pid_t pid) {
  const absl::StatusOr<UniqueFd> file =
      kernel::OpenProcFile(absl::StrCat(pid, "/status"), O_RDONLY);
  if (!file.ok()) {
    return -1;
  }
  char text[4096];
  const ssize_t length = read(file->get(), text, sizeof(text));
  const absl::string_view status(text,
                                 length > 0 ? static_cast<size_t>(length) : 0);
  const size_t found = status.find(kSeccompLine);
  const size_t digit = found + sizeof(kSeccompLine) - 1;
  if (found == absl::string_view::npos || digit >= status.size()) {
    return -1;
  }
  return status[digit] - '0';
}

v1::ContainerDescription::State StateOf(const Container& container) {
  switch (container.state) {
    case Container::State::kCreated:
      return v1::ContainerDescription::CREATED;
    case Container::State::kRunning:
      return v1::ContainerDescription::RUNNING;
    case Container::State::kExited:
      return v1::ContainerDescription::EXITED;
  }
  return v1::ContainerDescription::EXITED;
}

}  // namespace

absl::StatusOr<Container*> Supervisor::Find(const std::string& id) {
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    return absl::NotFoundError(absl::StrCat("find container ", id));
  }
  return found->second.get();
}

absl::Status Supervisor::CreatePod(const v1::PodPlan& plan, RequestFds& fds,
                                   v1::Reply& reply,
                                   std::vector<int>& reply_fds) {
  if (!pod_.id.empty()) {
    return absl::AlreadyExistsError("create pod: this keeper has one");
  }
  v1::PodCreated& created = *reply.mutable_pod_created();
  RETURN_IF_ERROR(
      keeper::CreatePod(plan, pod_, *created.mutable_steps(), failed_));
  if (plan.hold_scope()) {
    RETURN_IF_ERROR(HoldScope(created));
  }
  listener_ = fds.Take(plan.listener_fd());
  if (listener_.ok()) {
    RETURN_IF_ERROR(loop_->Add(listener_.get(), EventLoop::Class::kRequests,
                               [this] { OnListener(); }));
  }
  if (pod_.network.ok()) {
    reply_fds.push_back(pod_.network.get());
    created.set_network_fd(1);
  }
  return absl::OkStatus();
}

// Without it the pod's next container would have no cgroup to be in: whoever
// ends it ends the pod.
absl::Status Supervisor::HoldScope(v1::PodCreated& created) {
  ASSIGN_OR_RETURN(scope_holder_, StartScopeHolder());
  created.set_scope_holder_pid(scope_holder_.pid);
  return loop_->Add(scope_holder_.pidfd.get(), EventLoop::Class::kRequests,
                    [this] {
                      LogError("hold scope: the process was ended");
                      const absl::Status status = Shutdown();
                      if (!status.ok()) {
                        LogError(status.message());
                        _exit(1);
                      }
                    });
}

absl::StatusOr<int> Supervisor::SharedPidNamespace(
    const v1::ContainerPlan& plan) {
  if (plan.pid_mode() == v1::ContainerPlan::PID_TARGET) {
    ASSIGN_OR_RETURN(Container * target, Find(plan.pid_target()));
    return target->namespaces.pid.get();
  }
  if (plan.pid_mode() != v1::ContainerPlan::PID_POD) {
    return -1;
  }
  if (!pod_init_.pidfd.ok()) {
    ASSIGN_OR_RETURN(pod_init_, StartPodInit(pod_, *loop_));
  }
  return pod_init_.pid_namespace.get();
}

absl::Status Supervisor::CreateContainer(const v1::ContainerPlan& plan,
                                         RequestFds& fds, v1::Reply& reply) {
  if (containers_.contains(plan.container_id())) {
    return absl::AlreadyExistsError(
        absl::StrCat("create container ", plan.container_id()));
  }
  ASSIGN_OR_RETURN(const int pid_namespace, SharedPidNamespace(plan));
  CreateContext context{plan, fds, pod_, *loop_, pid_namespace};
  absl::Status status = keeper::CreateContainer(context);
  failed_ = context.failed;
  RETURN_IF_ERROR(status);
  v1::ContainerCreated& created = *reply.mutable_container_created();
  created.set_pid(context.container->pid);
  *created.mutable_steps() = std::move(context.times);
  *created.mutable_read_back() = std::move(context.read_back);
  Container& container = *context.container;
  containers_[plan.container_id()] = std::move(context.container);
  return Watch(container);
}

// Why an init ended before the byte that starts it: its last word, if it left
// one.
absl::Status Supervisor::EndBeforeStart(Container& container) {
  ChildReport report;
  const absl::Status status =
      AwaitReport(container.channel.get(), *loop_, report, failed_,
                  absl::FailedPreconditionError(absl::StrCat(
                      "start container: it ended with exit code ",
                      container.exit_code, " before it was started")));
  container.channel.reset();
  return status;
}

absl::Status Supervisor::StartContainer(const v1::StartContainer& call,
                                        v1::Reply& reply) {
  ASSIGN_OR_RETURN(Container * container, Find(call.container_id()));
  if (container->state == Container::State::kExited &&
      container->channel.ok()) {
    return EndBeforeStart(*container);
  }
  if (container->state != Container::State::kCreated) {
    return absl::FailedPreconditionError("start container: not created");
  }
  container->started_at = NowNanos();
  if (write(container->channel.get(), "s", 1) != 1) {
    return ErrnoError("start", "container");
  }
  if (container->has_start_hooks) {
    v1::ChildMessage message;
    message.set_hook_state(call.hook_state());
    // An init that has failed already has left a word why, read below.
    [[maybe_unused]] const absl::Status sent =
        SendMessage(container->channel.get(), message, {});
  }
  ChildReport report;
  // execve closes the child's end of the channel: no news is good news.
  absl::Status status = AwaitReport(container->channel.get(), *loop_, report,
                                    failed_, absl::OkStatus());
  container->channel.reset();
  if (!status.ok()) {
    return status;
  }
  const int mode = ReadSeccompMode(container->pid);
  if (container->state == Container::State::kCreated) {
    container->state = Container::State::kRunning;
  }
  // A filter was asked for: the started program must have one.
  if (!container->process.seccomp_program().empty() &&
      mode == SECCOMP_MODE_DISABLED) {
    [[maybe_unused]] const absl::Status killed =
        kernel::SignalProcess(container->pidfd.get(), SIGKILL);
    return absl::InternalError("start container: it has no seccomp filter");
  }
  v1::ContainerStarted& started = *reply.mutable_container_started();
  started.set_started_at(container->started_at);
  started.set_seccomp_mode(mode);
  return absl::OkStatus();
}

absl::Status Supervisor::SignalContainer(const v1::SignalContainer& call) {
  ASSIGN_OR_RETURN(Container * container, Find(call.container_id()));
  if (container->state == Container::State::kExited) {
    return absl::NotFoundError("signal container: exited");
  }
  const absl::Status status =
      kernel::SignalProcess(container->pidfd.get(), call.signal());
  // ESRCH: it has just ended.
  return absl::IsNotFound(status)
             ? absl::NotFoundError("signal container: exited")
             : status;
}

absl::Status Supervisor::Exec(const v1::ExecPlan& plan, RequestFds& fds,
                              v1::Reply& reply) {
  ASSIGN_OR_RETURN(Container * container, Find(plan.container_id()));
  v1::ExecStarted& started = *reply.mutable_exec_started();
  absl::StatusOr<std::unique_ptr<caisson::keeper::Exec>> exec = keeper::RunExec(
      plan, fds, pod_, *container, *loop_, *started.mutable_steps(), failed_);
  RETURN_IF_ERROR(exec.status());
  started.set_pid((*exec)->pid);
  const std::string id = plan.exec_id();
  const int pidfd = (*exec)->pidfd.get();
  execs_[id] = std::move(exec).value();
  return loop_->Add(pidfd, EventLoop::Class::kBackground,
                    [this, id] { OnExecExit(id); });
}

absl::Status Supervisor::ReopenLog(const v1::ReopenLog& call, RequestFds& fds) {
  ASSIGN_OR_RETURN(Container * container, Find(call.container_id()));
  if (container->state == Container::State::kExited) {
    return absl::FailedPreconditionError("reopen log: container exited");
  }
  container->log->Reopen(fds.Take(call.log_fd()));
  return absl::OkStatus();
}

absl::Status Supervisor::RemoveContainer(const std::string& id) {
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    return absl::OkStatus();
  }
  Container& container = *found->second;
  if (container.state != Container::State::kExited) {
    [[maybe_unused]] const absl::Status killed =
        kernel::SignalProcess(container.pidfd.get(), SIGKILL);
    // Its execs are reaped meanwhile: the init of a pid namespace does not
    // end before them.
    while (container.state != Container::State::kExited) {
      RETURN_IF_ERROR(loop_->RunUntilReadable(container.pidfd.get()));
      OnContainerExit(container);
    }
  }
  for (UniqueFd* pipe :
       {&container.stdout_pipe, &container.stderr_pipe, &container.terminal}) {
    loop_->Remove(pipe->get());
  }
  containers_.erase(found);
  return absl::OkStatus();
}

void Supervisor::Describe(v1::Reply& reply, std::vector<int>& reply_fds) {
  v1::PodDescription& description = *reply.mutable_description();
  description.set_pod_id(pod_.id);
  for (const auto& [id, container] : containers_) {
    v1::ContainerDescription& each = *description.add_containers();
    each.set_container_id(id);
    each.set_state(StateOf(*container));
    each.set_pid(container->pid);
    each.set_started_at(container->started_at);
    each.set_finished_at(container->finished_at);
    each.set_exit_code(container->exit_code);
  }
  if (pod_.network.ok()) {
    reply_fds.push_back(pod_.network.get());
    description.set_network_fd(1);
  }
}

absl::Status Supervisor::Shutdown() {
  while (!containers_.empty()) {
    RETURN_IF_ERROR(RemoveContainer(containers_.begin()->first));
  }
  for (auto& [id, exec] : execs_) {
    loop_->Remove(exec->pidfd.get());
    KillAndReap(exec->pidfd);
  }
  execs_.clear();
  KillAndReap(pod_init_.pidfd);
  loop_->Remove(scope_holder_.pidfd.get());
  KillAndReap(scope_holder_.pidfd);
  DestroyPod(pod_);
  loop_->Stop();
  return absl::OkStatus();
}

}  // namespace caisson::keeper
