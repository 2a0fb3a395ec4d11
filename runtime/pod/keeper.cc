#include "runtime/pod/keeper.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/pod/keeper_hub.h"

namespace caisson::pod {
namespace {

using keeper::v1::FromKeeper;
using keeper::v1::Reply;
using keeper::v1::Request;

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name socket ", path, ": longer than ",
                     sizeof(address.sun_path) - 1, " bytes"));
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

struct Answer {
  Reply reply;
  std::vector<UniqueFd> fds;
};

// A call on its way.
struct Pending {
  bool done = false;
  absl::Status status;
  Answer answer;
};

class SocketKeeper : public Keeper {
 public:
  SocketKeeper(UniqueFd socket, OnExited on_exited, OnGone on_gone)
      : socket_(std::move(socket)),
        on_exited_(std::move(on_exited)),
        on_gone_(std::move(on_gone)) {
    watch_ =
        KeeperHub::Get().Add(socket_.get(), [this] { return OnReadable(); });
  }

  ~SocketKeeper() override { KeeperHub::Get().Remove(watch_); }

  absl::StatusOr<PodResult> CreatePod(
      WithFds<keeper::v1::PodPlan> plan) override {
    Request request;
    *request.mutable_create_pod() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer, Call(request, plan.fds));
    PodResult result;
    result.created = std::move(*answer.reply.mutable_pod_created());
    result.network = Take(answer, result.created.network_fd());
    return result;
  }

  absl::StatusOr<keeper::v1::ContainerCreated> CreateContainer(
      WithFds<keeper::v1::ContainerPlan> plan) override {
    Request request;
    *request.mutable_create_container() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer, Call(request, plan.fds));
    return std::move(*answer.reply.mutable_container_created());
  }

  absl::StatusOr<keeper::v1::ContainerStarted> StartContainer(
      const std::string& container_id, std::string hook_state) override {
    Request request;
    request.mutable_start_container()->set_container_id(container_id);
    request.mutable_start_container()->set_hook_state(std::move(hook_state));
    ASSIGN_OR_RETURN(Answer answer, Call(request, {}));
    return std::move(*answer.reply.mutable_container_started());
  }

  absl::Status SignalContainer(const std::string& container_id,
                               int signal) override {
    Request request;
    request.mutable_signal_container()->set_container_id(container_id);
    request.mutable_signal_container()->set_signal(signal);
    return Call(request, {}).status();
  }

  absl::StatusOr<keeper::v1::ExecStarted> Exec(
      WithFds<keeper::v1::ExecPlan> plan) override {
    Request request;
    *request.mutable_exec() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer, Call(request, plan.fds));
    return std::move(*answer.reply.mutable_exec_started());
  }

  absl::Status ReopenLog(const std::string& container_id,
                         UniqueFd log) override {
    Request request;
    request.mutable_reopen_log()->set_container_id(container_id);
    request.mutable_reopen_log()->set_log_fd(1);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(log));
    return Call(request, fds).status();
  }

  absl::Status RemoveContainer(const std::string& container_id) override {
    Request request;
    request.mutable_remove_container()->set_container_id(container_id);
    return Call(request, {}).status();
  }

  absl::StatusOr<Description> Describe() override {
    Request request;
    request.mutable_describe();
    ASSIGN_OR_RETURN(Answer answer, Call(request, {}));
    Description description;
    description.pod = std::move(*answer.reply.mutable_description());
    description.network = Take(answer, description.pod.network_fd());
    return description;
  }

  absl::Status Shutdown() override {
    Request request;
    request.mutable_shutdown();
    RETURN_IF_ERROR(Call(request, {}).status());
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return gone_; });
    return absl::OkStatus();
  }

  absl::Status InjectFault(const std::string& step, int error) override {
    Request request;
    request.mutable_inject_fault()->set_step(step);
    request.mutable_inject_fault()->set_error_number(error);
    return Call(request, {}).status();
  }

  absl::Status PauseAfter(const std::string& step) override {
    Request request;
    request.mutable_inject_fault()->set_step(step);
    request.mutable_inject_fault()->set_pause(true);
    return Call(request, {}).status();
  }

 private:
  static UniqueFd Take(Answer& answer, uint32_t position) {
    return position == 0 || position > answer.fds.size()
               ? UniqueFd()
               : std::move(answer.fds[position - 1]);
  }

  absl::StatusOr<Answer> Call(Request& request,
                              const std::vector<UniqueFd>& fds);
  bool OnReadable();
  void OnReply(Reply reply, std::vector<UniqueFd> fds);
  void OnEnd();

  UniqueFd socket_;
  uint64_t watch_ = 0;
  FrameReader reader_;  // the hub's thread only
  const OnExited on_exited_;
  const OnGone on_gone_;

  std::mutex sending_;  // one frame at a time; before mutex_
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t last_id_ = 0;
  bool gone_ = false;
  std::map<uint64_t, Pending*> pending_;
};

absl::StatusOr<Answer> SocketKeeper::Call(Request& request,
                                          const std::vector<UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) {
    numbers.push_back(fd.get());
  }
  Pending pending;
  uint64_t id = 0;
  {
    const std::lock_guard<std::mutex> sending(sending_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (gone_) {
        return absl::UnavailableError("call keeper: it has ended");
      }
      id = ++last_id_;
      pending_[id] = &pending;
    }
    request.set_id(id);
    absl::Status sent =
        SendFrame(socket_.get(), request.SerializeAsString(), numbers);
    if (!sent.ok()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      pending_.erase(id);
      return Annotate(sent, "call keeper");
    }
  }
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return pending.done; });
  RETURN_IF_ERROR(pending.status);
  return std::move(pending.answer);
}

bool SocketKeeper::OnReadable() {
  absl::StatusOr<std::optional<Frame>> frame = reader_.Read(socket_.get());
  if (frame.ok() && !frame->has_value()) {
    return true;
  }
  FromKeeper message;
  if (!frame.ok() || !message.ParseFromString((*frame)->bytes)) {
    OnEnd();
    return false;
  }
  if (message.has_exited()) {
    on_exited_(message.exited());
  } else if (message.has_reply()) {
    OnReply(std::move(*message.mutable_reply()), std::move((*frame)->fds));
  }
  return true;
}

void SocketKeeper::OnReply(Reply reply, std::vector<UniqueFd> fds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = pending_.find(reply.id());
  if (found == pending_.end()) {
    return;
  }
  Pending& pending = *found->second;
  pending_.erase(found);
  if (reply.has_error()) {
    pending.status =
        absl::Status(static_cast<absl::StatusCode>(reply.error().code()),
                     reply.error().message());
  }
  pending.answer.reply = std::move(reply);
  pending.answer.fds = std::move(fds);
  pending.done = true;
  changed_.notify_all();
}

void SocketKeeper::OnEnd() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    gone_ = true;
    for (auto& [id, pending] : pending_) {
      pending->status = absl::UnavailableError("call keeper: it has ended");
      pending->done = true;
    }
    pending_.clear();
    changed_.notify_all();
  }
  on_gone_();
}

}  // namespace

std::unique_ptr<Keeper> Keeper::Adopt(UniqueFd socket, OnExited on_exited,
                                      OnGone on_gone) {
  return std::make_unique<SocketKeeper>(std::move(socket), std::move(on_exited),
                                        std::move(on_gone));
}

absl::StatusOr<UniqueFd> Keeper::Connect(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) {
    return ErrnoError("open", "socket");
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return errno == ENOENT || errno == ECONNREFUSED
               ? absl::NotFoundError(
                     absl::StrCat("connect to keeper ", path, ": none there"))
               : ErrnoError("connect to keeper", path);
  }
  return fd;
}

absl::StatusOr<UniqueFd> Keeper::Listen(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) {
    return ErrnoError("open", "socket");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  // The directory is the daemon's own (0700); the mode is the second lock.
  if (fchmod(fd.get(), 0600) != 0) {
    return ErrnoError("change mode of", path);
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return ErrnoError("bind", path);
  }
  if (listen(fd.get(), 4) != 0) {
    return ErrnoError("listen at", path);
  }
  return fd;
}

}  // namespace caisson::pod
