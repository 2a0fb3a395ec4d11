#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/keeper/supervisor.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {

absl::Status Supervisor::Watch(Container& container) {
  using Class = EventLoop::Class;
  Container* const it = &container;
  RETURN_IF_ERROR(loop_->Add(container.pidfd.get(), Class::kBackground,
                             [this, it] { OnContainerExit(*it); }));
  const auto watch = [&](UniqueFd& pipe, Stream stream) -> absl::Status {
    if (!pipe.ok()) {
      return absl::OkStatus();
    }
    UniqueFd* const source = &pipe;
    return loop_->Add(
        pipe.get(), Class::kBackground,
        [this, it, source, stream] { PumpOutput(*it, *source, stream); });
  };
  RETURN_IF_ERROR(watch(container.stdout_pipe, Stream::kStdout));
  RETURN_IF_ERROR(watch(container.stderr_pipe, Stream::kStderr));
  return watch(container.terminal, Stream::kStdout);
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

void Supervisor::OnContainerExit(Container& container) {
  if (container.state == Container::State::kExited) {
    return;
  }
  const absl::StatusOr<int> code = kernel::Reap(container.pidfd.get(), false);
  if (absl::IsUnavailable(code.status())) {
    return;
  }
  loop_->Remove(container.pidfd.get());
  container.state = Container::State::kExited;
  container.finished_at = NowNanos();
  // Somebody else reaped it: unknown is said as 255.
  container.exit_code = code.ok() ? *code : 255;
  // What it wrote is in the log before anybody hears of its end.
  for (auto [pipe, stream] :
       {std::pair(&container.stdout_pipe, Stream::kStdout),
        std::pair(&container.stderr_pipe, Stream::kStderr),
        std::pair(&container.terminal, Stream::kStdout)}) {
    if (pipe->ok()) {
      PumpOutput(container, *pipe, stream);
    }
  }
  SendExited(container.id, false, container.exit_code, container.finished_at);
}

void Supervisor::OnExecExit(const std::string& id) {
  const auto found = execs_.find(id);
  if (found == execs_.end()) {
    return;
  }
  const absl::StatusOr<int> code =
      kernel::Reap(found->second->pidfd.get(), false);
  if (absl::IsUnavailable(code.status())) {
    return;
  }
  loop_->Remove(found->second->pidfd.get());
  execs_.erase(found);
  // By value: `id` lived in the callback just removed.
  SendExited(id, true, code.ok() ? *code : 255, NowNanos());
}

}  // namespace caisson::keeper
