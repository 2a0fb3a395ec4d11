#include <sys/epoll.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/keeper/supervisor.h"

namespace caisson::keeper {
namespace {

// What a daemon that comes back may hear of; the oldest are forgotten.
constexpr size_t kMostUntold = 128;

}  // namespace

absl::Status Supervisor::Watch(Container& container) {
  RETURN_IF_ERROR(WatchOutput(container));
  Container* const it = &container;
  absl::Status status =
      reaper_.Watch(container.pidfd.get(), container.pid,
                    [this, it](int code) { OnContainerExit(*it, code); });
  if (!status.ok()) {
    Forget(container);
  }
  return status;
}

absl::Status Supervisor::WatchOutput(Container& container) {
  Container* const it = &container;
  const auto watch = [&](UniqueFd& pipe, Stream stream) -> absl::Status {
    if (!pipe.ok()) {
      return absl::OkStatus();
    }
    UniqueFd* const source = &pipe;
    return loop_->Add(pipe.get(), EPOLLIN, [this, it, source, stream] {
      PumpOutput(*it, *source, stream);
    });
  };
  absl::Status status = watch(container.stdout_pipe, Stream::kStdout);
  if (status.ok()) {
    status = watch(container.stderr_pipe, Stream::kStderr);
  }
  if (status.ok()) {
    status = watch(container.terminal, Stream::kStdout);
  }
  if (!status.ok()) {
    Forget(container);
  }
  return status;
}

void Supervisor::PumpOutput(Container& container, UniqueFd& pipe,
                            Stream stream) {
  const absl::StatusOr<bool> open = container.log->Drain(pipe.get(), stream);
  if (open.ok() && *open) {
    return;
  }
  // The end of the stream; EIO from a terminal whose other side is closed.
  loop_->Remove(pipe.get());
  pipe.reset();
}

void Supervisor::OnContainerExit(Container& container, int exit_code) {
  container.state = Container::State::kExited;
  container.finished_at = NowNanos();
  container.exit_code = exit_code;
  // What it wrote is in the log before anybody hears of its end.
  for (auto [pipe, stream] :
       {std::pair(&container.stdout_pipe, Stream::kStdout),
        std::pair(&container.stderr_pipe, Stream::kStderr),
        std::pair(&container.terminal, Stream::kStdout)}) {
    if (pipe->ok()) {
      PumpOutput(container, *pipe, stream);
    }
  }
  works_.Changed();
  v1::Exited exited;
  exited.set_id(container.id);
  exited.set_exit_code(exit_code);
  exited.set_finished_at(container.finished_at);
  SendExited(exited);
  EndExecsOf(container.id);
}

// They would go with a pid namespace of its own, but not every container has
// one.
void Supervisor::EndExecsOf(const std::string& container_id) {
  std::vector<WorkSet::Number> begun;
  for (const auto& [id, beginning] : beginning_) {
    if (beginning.container_id == container_id) {
      begun.push_back(beginning.work);
    }
  }
  for (const WorkSet::Number work : begun) {
    works_.Cancel(work, absl::AbortedError(absl::StrCat(
                            "exec: container ", container_id, " has ended")));
  }
  for (const auto& [id, exec] : execs_) {
    if (exec->container_id == container_id) {
      SendKill(exec->pidfd.get());
    }
  }
}

void Supervisor::OnExecExit(const std::string& id, int exit_code) {
  const auto found = execs_.find(id);
  if (found == execs_.end()) {
    return;
  }
  v1::Exited exited;
  exited.set_id(id);
  exited.set_is_exec(true);
  exited.set_exit_code(exit_code);
  exited.set_finished_at(NowNanos());
  if (!daemon_.ok()) {
    v1::ExecDescription& untold = untold_.emplace_back();
    untold.set_exec_id(id);
    untold.set_container_id(found->second->container_id);
    untold.set_finished_at(exited.finished_at());
    untold.set_exit_code(exit_code);
    if (untold_.size() > kMostUntold) {
      untold_.pop_front();
    }
  }
  execs_.erase(found);
  works_.Changed();
  SendExited(exited);
}

void Supervisor::SendExited(const v1::Exited& exited) {
  v1::FromKeeper message;
  *message.mutable_exited() = exited;
  daemon_.Send(message, {});
}

}  // namespace caisson::keeper
