#include "runtime/keeper/supervisor.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/fault.h"
#include "runtime/pod/keeper.h"

namespace caisson::keeper {
namespace {

// A daemon that gives up on one call after the other must not fill the keeper.
constexpr size_t kMostWorks = 512;

bool MakesSomething(const v1::Request& request) {
  return request.has_create_pod() || request.has_create_container() ||
         request.has_start_container() || request.has_exec();
}

}  // namespace

Supervisor::Supervisor(std::unique_ptr<EventLoop> loop, bool allow_faults)
    : loop_(std::move(loop)),
      allow_faults_(allow_faults),
      reaper_(*loop_),
      works_(*loop_),
      daemon_(
          *loop_,
          [this](v1::Request request, std::vector<UniqueFd> fds) {
            OnRequest(std::move(request), std::move(fds));
          },
          [this] {
            // Without a pod there is nothing to keep.
            if (pod_.id.empty()) {
              loop_->Stop();
            }
          }) {}

absl::StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create(
    UniqueFd connection, bool allow_faults) {
  ASSIGN_OR_RETURN(std::unique_ptr<EventLoop> loop, EventLoop::Create());
  std::unique_ptr<Supervisor> supervisor(
      new Supervisor(std::move(loop), allow_faults));
  RETURN_IF_ERROR(supervisor->daemon_.Use(std::move(connection)));
  return supervisor;
}

absl::Status Supervisor::Run() {
  return loop_->Run();
}

void Supervisor::OnListener() {
  UniqueFd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted.ok()) {
    return;
  }
  // A restarted daemon: the old connection is of no more use.
  if (absl::Status status = daemon_.Use(std::move(accepted)); !status.ok()) {
    LogWarning(absl::StrCat("accept connection: ", status.message()));
  }
}

void Supervisor::OnRequest(v1::Request request, std::vector<UniqueFd> fds) {
  const auto exchange = std::make_shared<Exchange>(Exchange{
      std::move(request), RequestFds(std::move(fds)), daemon_.number()});
  exchange->reply().set_id(exchange->request.id());
  const absl::StatusOr<bool> later = Dispatch(exchange);
  if (!later.ok() || !*later) {
    Reply(*exchange, later.status());
  }
}

void Supervisor::Reply(Exchange& exchange, const absl::Status& status) {
  if (!status.ok()) {
    v1::Error& error = *exchange.reply().mutable_error();
    error.set_code(static_cast<int>(status.code()));
    error.set_message(std::string(status.message()));
    error.set_step(exchange.failed);
    if (!exchange.failed.empty()) {
      Fault::Get().Clear();
    }
  }
  // Another daemon knows nothing of it.
  if (exchange.connection == daemon_.number()) {
    daemon_.Send(exchange.answer, exchange.reply_fds);
  }
}

WorkSet::Number Supervisor::StartWork(const ExchangePtr& exchange,
                                      std::unique_ptr<Work> work) {
  return works_.Start(std::move(work),
                      [this, exchange](const absl::Status& status) {
                        Reply(*exchange, status);
                      });
}

absl::StatusOr<bool> Supervisor::Dispatch(const ExchangePtr& exchange) {
  const v1::Request& request = exchange->request;
  if (MakesSomething(request)) {
    if (request.deadline() != 0 && MonotonicNanos() > request.deadline()) {
      return absl::DeadlineExceededError(
          "begin request: nobody waits for it any more");
    }
    if (shutting_down_) {
      return absl::FailedPreconditionError("begin request: shutting down");
    }
  }
  if (works_.size() > kMostWorks && !request.has_shutdown()) {
    return absl::ResourceExhaustedError("begin request: too many are begun");
  }
  switch (request.call_case()) {
    case v1::Request::kHello:
      Greet(exchange->reply());
      return false;
    case v1::Request::kPing:
      return false;
    case v1::Request::kCreatePod:
      RETURN_IF_ERROR(CreatePod(*exchange));
      return false;
    case v1::Request::kWriteSysctls:
      RETURN_IF_ERROR(WriteSysctls(exchange));
      return true;
    case v1::Request::kCreateContainer:
      RETURN_IF_ERROR(CreateContainer(exchange));
      return true;
    case v1::Request::kStartContainer:
      RETURN_IF_ERROR(StartContainer(exchange));
      return true;
    case v1::Request::kSignalContainer:
      RETURN_IF_ERROR(SignalContainer(request.signal_container()));
      return false;
    case v1::Request::kExec:
      RETURN_IF_ERROR(BeginExec(exchange));
      return true;
    case v1::Request::kReopenLog:
      RETURN_IF_ERROR(ReopenLog(request.reopen_log(), exchange->fds));
      return false;
    case v1::Request::kRemoveContainer:
      StartWork(exchange, RemovalOf(request.remove_container().container_id()));
      return true;
    case v1::Request::kDescribe:
      Describe(*exchange);
      return false;
    case v1::Request::kShutdown:
      Shutdown(exchange);
      return true;
    case v1::Request::kInjectFault:
      RETURN_IF_ERROR(InjectFault(request.inject_fault()));
      return false;
    case v1::Request::CALL_NOT_SET:
      break;
  }
  return absl::UnimplementedError("answer request: unknown call");
}

void Supervisor::Greet(v1::Reply& reply) {
  v1::Welcome& welcome = *reply.mutable_welcome();
  welcome.set_version(pod::kProtocolVersion);
  welcome.set_pod_id(pod_.id);
  welcome.set_pid(getpid());
}

absl::Status Supervisor::InjectFault(const v1::InjectFault& call) {
  if (!allow_faults_) {
    return absl::PermissionDeniedError("inject fault: not allowed");
  }
  if (call.pause()) {
    Fault::Get().SetPause(call.step());
  } else {
    Fault::Get().Set(call.step(), call.error_number());
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper
