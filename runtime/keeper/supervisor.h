#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/daemon_connection.h"
#include "runtime/keeper/event_loop.h"
#include "runtime/keeper/exec.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/pod_init.h"
#include "runtime/keeper/reaper.h"
#include "runtime/keeper/scope_holder.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// A keeper at work: answers caissond's requests, reaps the pod's processes and
// writes its logs, until it is told to shut down.  Outlives the connection.
//
// One thread and one place to wait, the event loop: a request that has to wait
// for a child is a Work, and all else goes on meanwhile.
class Supervisor {
 public:
  static absl::StatusOr<std::unique_ptr<Supervisor>> Create(UniqueFd connection,
                                                            bool allow_faults);

  absl::Status Run();

 private:
  // A request and what is answered.
  struct Exchange {
    v1::Request request;
    RequestFds fds;
    uint64_t connection = 0;
    v1::FromKeeper answer;
    std::vector<int> reply_fds;  // borrowed
    // The step that it failed at.
    std::string failed;

    v1::Reply& reply() { return *answer.mutable_reply(); }
  };

  using ExchangePtr = std::shared_ptr<Exchange>;

  // An exec that is being set up.
  struct Beginning {
    std::string container_id;
    WorkSet::Number work = 0;
  };

  // The making of the init of a shared pid namespace, for all that wait for it.
  struct InitAttempt {
    bool done = false;
    absl::Status status;
  };

  Supervisor(std::unique_ptr<EventLoop> loop, bool allow_faults);

  // supervisor.cc: conversation.
  void OnListener();
  void OnRequest(v1::Request request, std::vector<UniqueFd> fds);
  // Runs what needs no child; what does is begun.  True: it is answered later.
  absl::StatusOr<bool> Dispatch(const ExchangePtr& exchange);
  void Reply(Exchange& exchange, const absl::Status& status);
  // Answers when the work is done.
  WorkSet::Number StartWork(const ExchangePtr& exchange,
                            std::unique_ptr<Work> work);
  void Greet(v1::Reply& reply);
  absl::Status InjectFault(const v1::InjectFault& call);

  // supervisor_calls.cc: requests.
  absl::Status CreatePod(Exchange& exchange);
  absl::Status CreateContainer(const ExchangePtr& exchange);
  absl::Status StartContainer(const ExchangePtr& exchange);
  absl::Status SignalContainer(const v1::SignalContainer& call);
  absl::Status BeginExec(const ExchangePtr& exchange);
  absl::Status WriteSysctls(const ExchangePtr& exchange);
  absl::Status ReopenLog(const v1::ReopenLog& call, RequestFds& fds);
  void Describe(Exchange& exchange);
  absl::StatusOr<std::shared_ptr<Container>> Find(const std::string& id);
  FindPidNamespace PidNamespaceFinder();
  void StartPodInit();
  absl::Status HoldScope(v1::PodCreated& created);

  // supervisor_ends.cc: what ends.
  // Goes on with the end of a container: done when it is forgotten.
  StepResult EndContainer(const std::string& id);
  void Forget(Container& container);
  std::unique_ptr<Work> RemovalOf(const std::string& id);
  void Shutdown(const ExchangePtr& exchange);
  StepResult EndAll(Deadline deadline);
  bool EndHelpers();

  // supervisor_events.cc: events of processes.
  absl::Status Watch(Container& container);
  absl::Status WatchOutput(Container& container);
  void OnContainerExit(Container& container, int exit_code);
  void EndExecsOf(const std::string& container_id);
  void OnExecExit(const std::string& id, int exit_code);
  void PumpOutput(Container& container, UniqueFd& pipe, Stream stream);
  void SendExited(const v1::Exited& exited);

  std::unique_ptr<EventLoop> loop_;
  const bool allow_faults_;
  Reaper reaper_;
  WorkSet works_;
  DaemonConnection daemon_;
  UniqueFd listener_;
  Pod pod_;
  PodInit pod_init_;
  std::shared_ptr<InitAttempt> init_attempt_;
  ScopeHolder scope_holder_;
  bool shutting_down_ = false;

  // A container is in one of these two.
  std::map<std::string, WorkSet::Number> creating_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  // An exec is in one of these two, and then among the untold when no daemon
  // was there to be told.
  std::map<std::string, Beginning> beginning_;
  std::map<std::string, std::unique_ptr<Exec>> execs_;
  std::deque<v1::ExecDescription> untold_;
};

}  // namespace caisson::keeper
