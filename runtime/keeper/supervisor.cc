#include "runtime/keeper/supervisor.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/fault.h"

namespace caisson::keeper {
namespace {

// A daemon that does not read for this long is taken for dead.
constexpr timeval kSendTimeout = {5, 0};

}  // namespace

absl::StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create(
    UniqueFd connection, bool allow_faults) {
  ASSIGN_OR_RETURN(std::unique_ptr<EventLoop> loop, EventLoop::Create());
  std::unique_ptr<Supervisor> supervisor(
      new Supervisor(std::move(loop), allow_faults));
  RETURN_IF_ERROR(supervisor->UseConnection(std::move(connection)));
  return supervisor;
}

absl::Status Supervisor::Run() {
  return loop_->Run();
}

absl::Status Supervisor::UseConnection(UniqueFd connection) {
  DropConnection();
  connection_ = std::move(connection);
  if (setsockopt(connection_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout,
                 sizeof(kSendTimeout)) != 0) {
    return ErrnoError("set", "send timeout");
  }
  return loop_->Add(connection_.get(), EventLoop::Class::kRequests,
                    [this] { OnRequest(); });
}

void Supervisor::DropConnection() {
  if (connection_.ok()) {
    loop_->Remove(connection_.get());
    connection_.reset();
  }
}

void Supervisor::OnListener() {
  UniqueFd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted.ok()) {
    return;
  }
  // A restarted daemon: the old connection is of no more use.
  if (absl::Status status = UseConnection(std::move(accepted)); !status.ok()) {
    LogWarning(absl::StrCat("accept connection: ", status.message()));
  }
}

void Supervisor::OnRequest() {
  absl::StatusOr<Frame> frame = ReceiveFrame(connection_.get());
  if (!frame.ok()) {
    DropConnection();
    // Without a pod there is nothing to keep.
    if (pod_.id.empty()) {
      loop_->Stop();
    }
    return;
  }
  v1::Request request;
  if (!request.ParseFromString(frame->bytes)) {
    LogWarning("read request: malformed");
    DropConnection();
    return;
  }
  RequestFds fds(std::move(frame->fds));
  Answer(request, fds);
}

void Supervisor::Answer(const v1::Request& request, RequestFds& fds) {
  v1::FromKeeper answer;
  v1::Reply& reply = *answer.mutable_reply();
  reply.set_id(request.id());
  std::vector<int> reply_fds;
  failed_.clear();
  const absl::Status status = Dispatch(request, fds, reply, reply_fds);
  if (!status.ok()) {
    reply.mutable_error()->set_code(static_cast<int>(status.code()));
    reply.mutable_error()->set_message(std::string(status.message()));
    reply.mutable_error()->set_step(failed_);
    if (!failed_.empty()) {
      Fault::Get().Clear();
    }
  }
  Send(answer, reply_fds);
}

void Supervisor::Send(const v1::FromKeeper& message,
                      absl::Span<const int> fds) {
  if (!connection_.ok()) {
    return;
  }
  const absl::Status status =
      SendFrame(connection_.get(), message.SerializeAsString(), fds);
  if (!status.ok()) {
    // What it missed it will learn from Describe.
    DropConnection();
  }
}

void Supervisor::SendExited(const std::string& id, bool is_exec, int code,
                            int64_t finished_at) {
  v1::FromKeeper message;
  v1::Exited& exited = *message.mutable_exited();
  exited.set_id(id);
  exited.set_is_exec(is_exec);
  exited.set_exit_code(code);
  exited.set_finished_at(finished_at);
  Send(message, {});
}

absl::Status Supervisor::Dispatch(const v1::Request& request, RequestFds& fds,
                                  v1::Reply& reply,
                                  std::vector<int>& reply_fds) {
  switch (request.call_case()) {
    case v1::Request::kCreatePod:
      return CreatePod(request.create_pod(), fds, reply, reply_fds);
    case v1::Request::kCreateContainer:
      return CreateContainer(request.create_container(), fds, reply);
    case v1::Request::kStartContainer:
      return StartContainer(request.start_container(), reply);
    case v1::Request::kSignalContainer:
      return SignalContainer(request.signal_container());
    case v1::Request::kExec:
      return Exec(request.exec(), fds, reply);
    case v1::Request::kReopenLog:
      return ReopenLog(request.reopen_log(), fds);
    case v1::Request::kRemoveContainer:
      return RemoveContainer(request.remove_container().container_id());
    case v1::Request::kDescribe:
      Describe(reply, reply_fds);
      return absl::OkStatus();
    case v1::Request::kShutdown:
      return Shutdown();
    case v1::Request::kInjectFault:
      return InjectFault(request.inject_fault());
    case v1::Request::CALL_NOT_SET:
      break;
  }
  return absl::UnimplementedError("answer request: unknown call");
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
