#include <unistd.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/supervisor.h"

namespace caisson::keeper {
namespace {

// What has not ended by then is left behind: a process in an uninterruptible
// wait, or one whose tracer keeps it.
constexpr absl::Duration kShutdownTime = absl::Seconds(15);

// Work whose state is elsewhere.
class FunctionWork : public Work {
 public:
  explicit FunctionWork(std::function<StepResult()> resume)
      : resume_(std::move(resume)) {}

  StepResult Resume() override {
    RETURN_IF_ERROR(cancelled_);
    return resume_();
  }

  void Cancel(const absl::Status& why) override { cancelled_ = why; }

 private:
  const std::function<StepResult()> resume_;
  absl::Status cancelled_;
};

}  // namespace

StepResult Supervisor::EndContainer(const std::string& id) {
  if (const auto creating = creating_.find(id); creating != creating_.end()) {
    works_.Cancel(creating->second,
                  absl::AbortedError(absl::StrCat(
                      "create container ", id, ": it was removed meanwhile")));
    if (creating_.contains(id)) {
      return StepResult::WhenChanged();
    }
  }
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    return absl::OkStatus();
  }
  Container& container = *found->second;
  if (container.state != Container::State::kExited) {
    SendKill(container.pidfd.get());
    // Its execs are reaped meanwhile: the init of a pid namespace does not
    // end before them.
    return StepResult::WhenChanged();
  }
  // Those hear of it by themselves.
  if (container.starting) {
    return StepResult::WhenChanged();
  }
  for (const auto& [exec_id, beginning] : beginning_) {
    if (beginning.container_id == id) {
      return StepResult::WhenChanged();
    }
  }
  Forget(container);
  containers_.erase(id);
  return absl::OkStatus();
}

void Supervisor::Forget(Container& container) {
  for (UniqueFd* pipe :
       {&container.stdout_pipe, &container.stderr_pipe, &container.terminal}) {
    loop_->Remove(pipe->get());
    pipe->reset();
  }
}

std::unique_ptr<Work> Supervisor::RemovalOf(const std::string& id) {
  return std::make_unique<FunctionWork>(
      [this, id] { return EndContainer(id); });
}

void Supervisor::Shutdown(const ExchangePtr& exchange) {
  shutting_down_ = true;
  const Deadline deadline = Deadline::After(kShutdownTime);
  works_.Start(std::make_unique<FunctionWork>(
                   [this, deadline] { return EndAll(deadline); }),
               [this, exchange](const absl::Status& status) {
                 if (!status.ok()) {
                   LogError(status.message());
                 }
                 DestroyPod(pod_);
                 if (exchange != nullptr) {
                   Reply(*exchange, absl::OkStatus());
                 }
                 loop_->Stop();
               });
}

StepResult Supervisor::EndAll(Deadline deadline) {
  std::vector<std::string> ids;
  for (const auto& [id, work] : creating_) {
    ids.push_back(id);
  }
  for (const auto& [id, container] : containers_) {
    ids.push_back(id);
  }
  for (const std::string& id : ids) {
    [[maybe_unused]] const StepResult ended = EndContainer(id);
  }
  const bool all =
      creating_.empty() && containers_.empty() && init_attempt_ == nullptr;
  // The init of the pod's pids goes last: its end would be theirs.
  if (all && EndHelpers()) {
    return absl::OkStatus();
  }
  if (deadline.passed()) {
    EndHelpers();
    return absl::DeadlineExceededError(
        "shut down: processes of the pod do not end");
  }
  return StepResult::WhenChanged(deadline);
}

bool Supervisor::EndHelpers() {
  for (const auto& [id, exec] : execs_) {
    SendKill(exec->pidfd.get());
  }
  for (const UniqueFd* pidfd : {&pod_init_.pidfd, &scope_holder_.pidfd}) {
    if (pidfd->ok()) {
      SendKill(pidfd->get());
    }
  }
  return execs_.empty() && !pod_init_.pidfd.ok() && !scope_holder_.pidfd.ok();
}

}  // namespace caisson::keeper
