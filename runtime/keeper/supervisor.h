#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/event_loop.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/pod_init.h"
#include "runtime/keeper/scope_holder.h"

namespace caisson::keeper {

// A keeper at work: answers caissond's requests, reaps the pod's processes and
// writes its logs, until it is told to shut down.  Outlives the connection.
class Supervisor {
 public:
  static absl::StatusOr<std::unique_ptr<Supervisor>> Create(UniqueFd connection,
                                                            bool allow_faults);

  absl::Status Run();

 private:
  Supervisor(std::unique_ptr<EventLoop> loop, bool allow_faults)
      : loop_(std::move(loop)), allow_faults_(allow_faults) {}

  // Conversation.
  absl::Status UseConnection(UniqueFd connection);
  void DropConnection();
  void OnRequest();
  void OnListener();
  void Send(const v1::FromKeeper& message, absl::Span<const int> fds);
  void Answer(const v1::Request& request, RequestFds& fds);
  absl::Status Dispatch(const v1::Request& request, RequestFds& fds,
                        v1::Reply& reply, std::vector<int>& reply_fds);

  // Requests.
  absl::Status CreatePod(const v1::PodPlan& plan, RequestFds& fds,
                         v1::Reply& reply, std::vector<int>& reply_fds);
  absl::Status CreateContainer(const v1::ContainerPlan& plan, RequestFds& fds,
                               v1::Reply& reply);
  absl::Status EndBeforeStart(Container& container);
  absl::Status StartContainer(const v1::StartContainer& call, v1::Reply& reply);
  absl::Status SignalContainer(const v1::SignalContainer& call);
  absl::Status Exec(const v1::ExecPlan& plan, RequestFds& fds,
                    v1::Reply& reply);
  absl::Status ReopenLog(const v1::ReopenLog& call, RequestFds& fds);
  absl::Status RemoveContainer(const std::string& id);
  void Describe(v1::Reply& reply, std::vector<int>& reply_fds);
  absl::Status Shutdown();
  absl::Status InjectFault(const v1::InjectFault& call);

  // Events of containers.
  absl::StatusOr<Container*> Find(const std::string& id);
  absl::StatusOr<int> SharedPidNamespace(const v1::ContainerPlan& plan);
  absl::Status HoldScope(v1::PodCreated& created);
  absl::Status Watch(Container& container);
  void OnContainerExit(Container& container);
  void OnExecExit(const std::string& id);
  void PumpOutput(Container& container, UniqueFd& pipe, Stream stream);
  void SendExited(const std::string& id, bool is_exec, int code,
                  int64_t finished_at);

  std::unique_ptr<EventLoop> loop_;
  const bool allow_faults_;
  UniqueFd connection_;
  UniqueFd listener_;
  Pod pod_;
  PodInit pod_init_;
  ScopeHolder scope_holder_;
  std::map<std::string, std::unique_ptr<Container>> containers_;
  std::map<std::string, std::unique_ptr<caisson::keeper::Exec>> execs_;
  // The step that the running request failed at.
  std::string failed_;
};

}  // namespace caisson::keeper
