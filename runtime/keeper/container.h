#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/event_loop.h"
#include "runtime/keeper/log_writer.h"

namespace caisson::keeper {

// A container's init as its keeper sees it.
struct Container {
  enum class State { kCreated, kRunning, kExited };

  std::string id;
  State state = State::kCreated;
  pid_t pid = 0;
  UniqueFd pidfd;
  // To the init until it has become the program.
  UniqueFd channel;
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

  UniqueFd Take(uint32_t position) {
    return position == 0 || position > fds_.size()
               ? UniqueFd()
               : std::move(fds_[position - 1]);
  }

 private:
  std::vector<UniqueFd> fds_;
};

// What the container table works with.
struct CreateContext {
  const v1::ContainerPlan& plan;
  RequestFds& fds;
  const Pod& pod;
  EventLoop& loop;
  // The pid namespace to share; -1: an own or the host's.
  int pid_namespace = -1;

  // Filled by the steps.
  std::unique_ptr<Container> container;
  v1::ReadBack read_back;
  StepTimes times;
  std::string failed;

  // Between the steps.
  UniqueFd child_channel;
  UniqueFd child_stdin;
  UniqueFd child_stdout;
  UniqueFd child_stderr;
  UniqueFd stage;
};

// Runs the container table.  On failure nothing of the container is left:
// its processes are killed and reaped.
absl::Status CreateContainer(CreateContext& context);

StepNames CreateStepNames();
StepNames ExecStepNames();

// An exec'd process.
struct Exec {
  std::string id;
  std::string container_id;
  pid_t pid = 0;
  UniqueFd pidfd;
};

// Runs `plan` in `container`; returns when the program runs, or failed to.
absl::StatusOr<std::unique_ptr<Exec>> RunExec(const v1::ExecPlan& plan,
                                              RequestFds& fds, const Pod& pod,
                                              const Container& container,
                                              EventLoop& loop, StepTimes& times,
                                              std::string& failed);

// What a child reports until it is ready or fails.
struct ChildReport {
  pid_t init_pid = 0;
  UniqueFd init;
  v1::ChildMessage message;
  UniqueFd terminal;
  // Lent to its create_hooks.
  UniqueFd root;
};

// The child's channel was closed before the child was ready.
absl::Status ChildEnded();

// Waits for the first message with `ready` or a root, or the end of the
// channel, doing
// the loop's background work meanwhile.  An error of the child is returned as
// its status, `failed` the step; report.init is set when it was reported,
// also on failure.  At the end of the channel `ended` is returned.
absl::Status AwaitReport(int channel, EventLoop& loop, ChildReport& report,
                         std::string& failed, const absl::Status& ended);

// For a report that is ready and has no init: an init may be quicker than the
// `stage` that made it is to report it.
absl::Status AwaitInit(int channel, int stage, EventLoop& loop,
                       ChildReport& report);

// What a failed table leaves: waits for the end of `stage`, then kills and
// reaps the init that it made, also one that nobody has heard of yet
// (`channel`: where it is reported, or -1).
void EndChildren(UniqueFd& stage, int channel, UniqueFd& init);

// Kills and reaps; nothing for a pidfd not ok().
void KillAndReap(UniqueFd& pidfd);

}  // namespace caisson::keeper
