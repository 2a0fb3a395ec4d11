#include "runtime/pod/keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/pod/keeper_connection.h"
#include "runtime/pod/keeper_process.h"

namespace caisson::pod {
namespace {

using keeper::v1::Request;
using Answer = KeeperConnection::Answer;

// Makes the calls; their way is the connection's.
class SocketKeeper : public Keeper {
 public:
  explicit SocketKeeper(std::shared_ptr<KeeperConnection> connection)
      : connection_(std::move(connection)) {}

  ~SocketKeeper() override { connection_->Close(); }

  KeeperIdentity identity() const override { return connection_->identity(); }

  absl::Status CheckResponsive() override {
    return connection_->CheckResponsive();
  }

  absl::StatusOr<PodResult> CreatePod(WithFds<keeper::v1::PodPlan> plan,
                                      Deadline deadline) override {
    Request request;
    *request.mutable_create_pod() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer,
                     connection_->Call("create pod", std::move(request),
                                       std::move(plan.fds), deadline));
    PodResult result;
    result.created = std::move(*answer.reply.mutable_pod_created());
    result.network = answer.Take(result.created.network_fd());
    return result;
  }

  absl::Status WriteSysctls(const keeper::v1::WriteSysctls& call,
                            Deadline deadline) override {
    Request request;
    *request.mutable_write_sysctls() = call;
    return Call("write sysctls", std::move(request), deadline);
  }

  absl::StatusOr<keeper::v1::ContainerCreated> CreateContainer(
      WithFds<keeper::v1::ContainerPlan> plan, Deadline deadline) override {
    const std::string name =
        absl::StrCat("create container ", plan.message.container_id());
    Request request;
    *request.mutable_create_container() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer,
                     connection_->Call(name, std::move(request),
                                       std::move(plan.fds), deadline));
    return std::move(*answer.reply.mutable_container_created());
  }

  absl::StatusOr<keeper::v1::ContainerStarted> StartContainer(
      const std::string& container_id, std::string hook_state,
      Deadline deadline) override {
    Request request;
    request.mutable_start_container()->set_container_id(container_id);
    request.mutable_start_container()->set_hook_state(std::move(hook_state));
    ASSIGN_OR_RETURN(
        Answer answer,
        connection_->Call(absl::StrCat("start container ", container_id),
                          std::move(request), {}, deadline));
    return std::move(*answer.reply.mutable_container_started());
  }

  absl::Status SignalContainer(const std::string& container_id, int signal,
                               Deadline deadline) override {
    Request request;
    request.mutable_signal_container()->set_container_id(container_id);
    request.mutable_signal_container()->set_signal(signal);
    return Call(absl::StrCat("signal container ", container_id),
                std::move(request), deadline);
  }

  absl::StatusOr<keeper::v1::ExecStarted> Exec(
      WithFds<keeper::v1::ExecPlan> plan, Deadline deadline) override {
    const std::string name =
        absl::StrCat("exec in container ", plan.message.container_id());
    Request request;
    *request.mutable_exec() = std::move(plan.message);
    ASSIGN_OR_RETURN(Answer answer,
                     connection_->Call(name, std::move(request),
                                       std::move(plan.fds), deadline));
    return std::move(*answer.reply.mutable_exec_started());
  }

  absl::Status ReopenLog(const std::string& container_id, UniqueFd log,
                         Deadline deadline) override {
    Request request;
    request.mutable_reopen_log()->set_container_id(container_id);
    request.mutable_reopen_log()->set_log_fd(1);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(log));
    return connection_
        ->Call(absl::StrCat("reopen log of container ", container_id),
               std::move(request), std::move(fds), deadline)
        .status();
  }

  absl::Status RemoveContainer(const std::string& container_id,
                               Deadline deadline) override {
    Request request;
    request.mutable_remove_container()->set_container_id(container_id);
    return Call(absl::StrCat("remove container ", container_id),
                std::move(request), deadline);
  }

  absl::StatusOr<Description> Describe(Deadline deadline) override {
    Request request;
    request.mutable_describe();
    ASSIGN_OR_RETURN(
        Answer answer,
        connection_->Call("describe", std::move(request), {}, deadline));
    Description description;
    description.pod = std::move(*answer.reply.mutable_description());
    description.network = answer.Take(description.pod.network_fd());
    return description;
  }

  absl::Status Shutdown(Deadline deadline) override {
    Request request;
    request.mutable_shutdown();
    const absl::Status asked = Call("shut down", std::move(request), deadline);
    // Unavailable: it may be on its way out, or have ended before.
    if (!asked.ok() && !absl::IsUnavailable(asked)) {
      return asked;
    }
    const absl::Status ended = connection_->AwaitEnd(
        asked.ok() ? deadline : Deadline::Earlier(deadline, {}));
    return ended.ok() || asked.ok() ? ended : asked;
  }

  void Kill() override { connection_->Kill(); }

  absl::Status AwaitEnd(Deadline deadline) override {
    return connection_->AwaitEnd(deadline);
  }

  absl::Status InjectFault(const std::string& step, int error,
                           Deadline deadline) override {
    Request request;
    request.mutable_inject_fault()->set_step(step);
    request.mutable_inject_fault()->set_error_number(error);
    return Call("inject fault", std::move(request), deadline);
  }

  absl::Status PauseAfter(const std::string& step, Deadline deadline) override {
    Request request;
    request.mutable_inject_fault()->set_step(step);
    request.mutable_inject_fault()->set_pause(true);
    return Call("inject fault", std::move(request), deadline);
  }

 private:
  absl::Status Call(const std::string& name, Request request,
                    Deadline deadline) {
    return connection_->Call(name, std::move(request), {}, deadline).status();
  }

  const std::shared_ptr<KeeperConnection> connection_;
};

}  // namespace

std::unique_ptr<Keeper> Keeper::Adopt(KeeperFactory::NewKeeper fresh,
                                      Options options) {
  return std::make_unique<SocketKeeper>(
      KeeperConnection::Create(fresh.identity, std::move(fresh.pidfd),
                               std::move(fresh.socket), std::move(options)));
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Resume(
    const KeeperIdentity& identity, Options options) {
  ASSIGN_OR_RETURN(UniqueFd pidfd, OpenProcess(identity));
  return std::make_unique<SocketKeeper>(KeeperConnection::Create(
      identity, std::move(pidfd), UniqueFd(), std::move(options)));
}

}  // namespace caisson::pod
