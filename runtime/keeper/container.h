#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/child_report.h"
#include "runtime/keeper/log_writer.h"
#include "runtime/keeper/reaper.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// A container's init as its keeper sees it.
struct Container {
  enum class State { kCreated, kRunning, kExited };

  std::string id;
  State state = State::kCreated;
  pid_t pid = 0;
  UniqueFd pidfd;
  // To the init until it has become the program.
  ChildChannel channel;
  // A start is on its way.
  bool starting = false;
  ContainerNamespaces namespaces;
  // What its program was given; an exec inherits it.
  v1::Process process;
  bool has_start_hooks = false;
  // Host ids of its user, for its pipes.
  kernel::Owner owner;

  // Ends of the program's output; closed at their end.
  UniqueFd stdout_pipe;
  UniqueFd stderr_pipe;
  // The program's input, or not ok(): /dev/null.
  UniqueFd stdin_pipe;
  UniqueFd terminal;
  std::unique_ptr<LogWriter> log;

  int64_t started_at = 0;  // nanoseconds since the epoch
  int64_t finished_at = 0;
  int exit_code = 0;
};

// Fds of a request, by 1-based position; -1 for 0.
class RequestFds {
 public:
  explicit RequestFds(std::vector<UniqueFd> fds) : fds_(std::move(fds)) {}

  int Borrow(uint32_t position) const {
    return position == 0 || position > fds_.size() ? -1
                                                   : fds_[position - 1].get();
  }

  // Those that were not taken.
  void Close() { fds_.clear(); }

  UniqueFd Take(uint32_t position) {
    return position == 0 || position > fds_.size()
               ? UniqueFd()
               : std::move(fds_[position - 1]);
  }

 private:
  std::vector<UniqueFd> fds_;
};

struct HookRun;

// Finds the pid namespace that a plan wants to share; -1: an own or the host's.
// It may have to be made first, and so to be waited for.
using FindPidNamespace =
    std::function<StepResult(const v1::ContainerPlan& plan, int& fd)>;

// What the container table works with.
struct CreateContext {
  const v1::ContainerPlan& plan;
  RequestFds& fds;
  const Pod& pod;
  Reaper& reaper;
  FindPidNamespace find_pid_namespace;

  // Filled by the steps.
  std::shared_ptr<Container> container;
  v1::ReadBack read_back;
  StepTimes times;
  std::string failed;

  // Between the steps.
  int pid_namespace = -1;  // borrowed, for the fork that comes next
  UniqueFd child_channel;
  UniqueFd child_stdin;
  UniqueFd child_stdout;
  UniqueFd child_stderr;
  UniqueFd stage;
  ChildReport report;
  std::shared_ptr<HookRun> hooks;
  TableProgress progress;
};

// Runs the container table.  On failure nothing of the container is left: its
// processes are killed and reaped.
class CreateWork : public Work {
 public:
  // Takes over what the table has filled; its error fails the creation.
  using Finish = std::function<absl::Status(CreateContext& context)>;

  // What `context` refers to outlives this, or is kept alive by `finish`.
  CreateWork(CreateContext context, Finish finish)
      : context_(std::move(context)), finish_(std::move(finish)) {}

  StepResult Resume() override;
  void Cancel(const absl::Status& why) override;

  // Where the name of the step that failed goes.
  void set_failed(std::string* failed) { failed_ = failed; }

 private:
  void BeginEnd(const absl::Status& status);

  CreateContext context_;
  const Finish finish_;
  std::string* failed_ = nullptr;
  absl::Status status_;
  std::optional<EndOfChildren> end_;
};

StepNames CreateStepNames();

}  // namespace caisson::keeper
