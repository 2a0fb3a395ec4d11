#include <sys/epoll.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/start.h"
#include "runtime/keeper/supervisor.h"
#include "runtime/keeper/sysctls.h"
#include "runtime/keeper/unknown_fields.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

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

absl::StatusOr<std::shared_ptr<Container>> Supervisor::Find(
    const std::string& id) {
  if (creating_.contains(id)) {
    return absl::FailedPreconditionError(
        absl::StrCat("find container ", id, ": it is being created"));
  }
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    return absl::NotFoundError(absl::StrCat("find container ", id));
  }
  return found->second;
}

absl::Status Supervisor::CreatePod(Exchange& exchange) {
  const v1::PodPlan& plan = exchange.request.create_pod();
  if (!pod_.id.empty()) {
    return absl::AlreadyExistsError("create pod: this keeper has one");
  }
  RETURN_IF_ERROR(CheckKnown(plan));
  v1::PodCreated& created = *exchange.reply().mutable_pod_created();
  RETURN_IF_ERROR(keeper::CreatePod(plan, pod_, *created.mutable_steps(),
                                    exchange.failed, exchange.fds, reaper_));
  if (plan.hold_scope()) {
    RETURN_IF_ERROR(HoldScope(created));
  }
  listener_ = exchange.fds.Take(plan.listener_fd());
  if (listener_.ok()) {
    RETURN_IF_ERROR(
        loop_->Add(listener_.get(), EPOLLIN, [this] { OnListener(); }));
  }
  if (pod_.network.ok()) {
    exchange.reply_fds.push_back(pod_.network.get());
    created.set_network_fd(1);
  }
  return absl::OkStatus();
}

// Without it the pod's next container would have no cgroup to be in: whoever
// ends it ends the pod.
absl::Status Supervisor::HoldScope(v1::PodCreated& created) {
  ASSIGN_OR_RETURN(scope_holder_, StartScopeHolder());
  created.set_scope_holder_pid(scope_holder_.pid);
  return reaper_.Watch(scope_holder_.pidfd.get(), scope_holder_.pid,
                       [this](int) {
                         scope_holder_.pidfd.reset();
                         works_.Changed();
                         if (!shutting_down_) {
                           LogError("hold scope: the process was ended");
                           Shutdown(nullptr);
                         }
                       });
}

FindPidNamespace Supervisor::PidNamespaceFinder() {
  return [this, attempt = std::shared_ptr<InitAttempt>()](
             const v1::ContainerPlan& plan, int& fd) mutable -> StepResult {
    fd = -1;
    if (plan.pid_mode() == v1::ContainerPlan::PID_TARGET) {
      ASSIGN_OR_RETURN(const std::shared_ptr<Container> target,
                       Find(plan.pid_target()));
      fd = target->namespaces.pid.get();
      return absl::OkStatus();
    }
    if (plan.pid_mode() != v1::ContainerPlan::PID_POD) {
      return absl::OkStatus();
    }
    if (attempt != nullptr && attempt->done && !attempt->status.ok()) {
      return attempt->status;
    }
    if (!pod_init_.pidfd.ok()) {
      if (init_attempt_ == nullptr) {
        StartPodInit();
      }
      attempt = init_attempt_;
      return StepResult::WhenChanged();
    }
    fd = pod_init_.pid_namespace.get();
    return absl::OkStatus();
  };
}

void Supervisor::StartPodInit() {
  const auto attempt = std::make_shared<InitAttempt>();
  init_attempt_ = attempt;
  works_.Start(std::make_unique<PodInitWork>(pod_, reaper_, pod_init_),
               [this, attempt](const absl::Status& status) {
                 init_attempt_.reset();
                 attempt->done = true;
                 attempt->status = status;
                 if (!status.ok()) {
                   return;
                 }
                 attempt->status = reaper_.Watch(pod_init_.pidfd.get(),
                                                 pod_init_.pid, [this](int) {
                                                   pod_init_ = PodInit();
                                                   works_.Changed();
                                                 });
               });
}

absl::Status Supervisor::CreateContainer(const ExchangePtr& exchange) {
  const v1::ContainerPlan& plan = exchange->request.create_container();
  const std::string id = plan.container_id();
  if (containers_.contains(id) || creating_.contains(id)) {
    return absl::AlreadyExistsError(absl::StrCat("create container ", id));
  }
  RETURN_IF_ERROR(CheckKnown(plan));
  CreateContext context{plan, exchange->fds, pod_, reaper_,
                        PidNamespaceFinder()};
  auto work = std::make_unique<CreateWork>(
      std::move(context), [this, exchange](CreateContext& filled) {
        v1::ContainerCreated& created =
            *exchange->reply().mutable_container_created();
        created.set_pid(filled.container->pid);
        *created.mutable_steps() = std::move(filled.times);
        *created.mutable_read_back() = std::move(filled.read_back);
        RETURN_IF_ERROR(Watch(*filled.container));
        containers_[filled.container->id] = filled.container;
        return absl::OkStatus();
      });
  work->set_failed(&exchange->failed);
  // In it before it runs, which may be to its end.
  creating_[id] = 0;
  const WorkSet::Number number = works_.Start(
      std::move(work), [this, exchange, id](const absl::Status& status) {
        creating_.erase(id);
        if (!status.ok()) {
          exchange->reply().clear_container_created();
        }
        Reply(*exchange, status);
      });
  if (const auto found = creating_.find(id); found != creating_.end()) {
    found->second = number;
  }
  return absl::OkStatus();
}

absl::Status Supervisor::StartContainer(const ExchangePtr& exchange) {
  const v1::StartContainer& call = exchange->request.start_container();
  ASSIGN_OR_RETURN(std::shared_ptr<Container> container,
                   Find(call.container_id()));
  StartWork(exchange, std::make_unique<keeper::StartWork>(
                          std::move(container), call,
                          *exchange->reply().mutable_container_started(),
                          exchange->failed));
  return absl::OkStatus();
}

absl::Status Supervisor::SignalContainer(const v1::SignalContainer& call) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Container> container,
                   Find(call.container_id()));
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

absl::Status Supervisor::BeginExec(const ExchangePtr& exchange) {
  const v1::ExecPlan& plan = exchange->request.exec();
  const std::string id = plan.exec_id();
  ASSIGN_OR_RETURN(std::shared_ptr<Container> container,
                   Find(plan.container_id()));
  if (execs_.contains(id) || beginning_.contains(id)) {
    return absl::AlreadyExistsError(absl::StrCat("exec ", id));
  }
  RETURN_IF_ERROR(CheckKnown(plan));
  auto work = std::make_unique<ExecWork>(
      ExecContext{plan, exchange->fds, pod_, reaper_, std::move(container)},
      [this, exchange, id](ExecContext& filled) {
        v1::ExecStarted& started = *exchange->reply().mutable_exec_started();
        started.set_pid(filled.exec->pid);
        *started.mutable_steps() = std::move(filled.times);
        RETURN_IF_ERROR(
            reaper_.Watch(filled.exec->pidfd.get(), filled.exec->pid,
                          [this, id](int code) { OnExecExit(id, code); }));
        execs_[id] = std::move(filled.exec);
        return absl::OkStatus();
      });
  work->set_failed(&exchange->failed);
  beginning_[id].container_id = plan.container_id();
  const WorkSet::Number number = works_.Start(
      std::move(work), [this, exchange, id](const absl::Status& status) {
        beginning_.erase(id);
        Reply(*exchange, status);
      });
  if (const auto found = beginning_.find(id); found != beginning_.end()) {
    found->second.work = number;
  }
  return absl::OkStatus();
}

absl::Status Supervisor::WriteSysctls(const ExchangePtr& exchange) {
  if (pod_.id.empty()) {
    return absl::FailedPreconditionError("write sysctls: no pod");
  }
  StartWork(exchange, std::make_unique<SysctlWork>(
                          pod_, reaper_, exchange->request.write_sysctls()));
  return absl::OkStatus();
}

absl::Status Supervisor::ReopenLog(const v1::ReopenLog& call, RequestFds& fds) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Container> container,
                   Find(call.container_id()));
  if (container->state == Container::State::kExited) {
    return absl::FailedPreconditionError("reopen log: container exited");
  }
  container->log->Reopen(fds.Take(call.log_fd()));
  return absl::OkStatus();
}

void Supervisor::Describe(Exchange& exchange) {
  v1::PodDescription& description = *exchange.reply().mutable_description();
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
  for (const auto& [id, work] : creating_) {
    v1::ContainerDescription& each = *description.add_containers();
    each.set_container_id(id);
    each.set_state(v1::ContainerDescription::CREATING);
  }
  for (const auto& [id, beginning] : beginning_) {
    v1::ExecDescription& each = *description.add_execs();
    each.set_exec_id(id);
    each.set_container_id(beginning.container_id);
  }
  for (const auto& [id, exec] : execs_) {
    v1::ExecDescription& each = *description.add_execs();
    each.set_exec_id(id);
    each.set_container_id(exec->container_id);
    each.set_pid(exec->pid);
  }
  for (v1::ExecDescription& each : untold_) {
    *description.add_execs() = std::move(each);
  }
  untold_.clear();
  if (pod_.network.ok()) {
    exchange.reply_fds.push_back(pod_.network.get());
    description.set_network_fd(1);
  }
}

}  // namespace caisson::keeper
