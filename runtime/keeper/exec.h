#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child_report.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// An exec'd process.
struct Exec {
  std::string id;
  std::string container_id;
  pid_t pid = 0;
  UniqueFd pidfd;
};

// What the exec table works with.
struct ExecContext {
  const v1::ExecPlan& plan;
  RequestFds& fds;
  const Pod& pod;
  Reaper& reaper;
  const std::shared_ptr<Container> container;

  // Filled by the steps.
  std::unique_ptr<Exec> exec;
  StepTimes times;
  std::string failed;

  // Between the steps.
  ChildChannel channel;
  UniqueFd child_channel;
  UniqueFd stage;
  ChildReport report;
  TableProgress progress;
};

// Runs the exec table in a container: done when the program runs, or failed
// to, and then nothing of it is left.
class ExecWork : public Work {
 public:
  // Takes over what the table has filled; its error fails the exec.
  using Finish = std::function<absl::Status(ExecContext& context)>;

  // What `context` refers to outlives this, or is kept alive by `finish`.
  ExecWork(ExecContext context, Finish finish)
      : context_(std::move(context)), finish_(std::move(finish)) {}

  StepResult Resume() override;
  void Cancel(const absl::Status& why) override;

  // Where the name of the step that failed goes.
  void set_failed(std::string* failed) { failed_ = failed; }

 private:
  void BeginEnd(const absl::Status& status);

  ExecContext context_;
  const Finish finish_;
  std::string* failed_ = nullptr;
  absl::Status status_;
  std::optional<EndOfChildren> end_;
};

StepNames ExecStepNames();

}  // namespace caisson::keeper
