#include "runtime/keeper/start.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/procfs.h"

namespace caisson::keeper {
namespace {

constexpr char kSeccompLine[] = "\nSeccomp:\t";

// Mode of seccomp(2) of a process, or -1 when it is gone.
int ReadSeccompMode(pid_t pid) {
  const absl::StatusOr<UniqueFd> file =
      kernel::OpenProcFile(absl::StrCat(pid, "/status"), O_RDONLY);
  if (!file.ok()) {
    return -1;
  }
  char text[4096];
  const ssize_t length = read(file->get(), text, sizeof(text));
  const absl::string_view status(text,
                                 length > 0 ? static_cast<size_t>(length) : 0);
  const size_t found = status.find(kSeccompLine);
  const size_t digit = found + sizeof(kSeccompLine) - 1;
  if (found == absl::string_view::npos || digit >= status.size()) {
    return -1;
  }
  return status[digit] - '0';
}

}  // namespace

StartWork::~StartWork() {
  if (begun_) {
    container_->starting = false;
  }
}

StepResult StartWork::Resume() {
  RETURN_IF_ERROR(cancelled_);
  if (!begun_) {
    RETURN_IF_ERROR(Begin());
  }
  ChildChannel& channel = container_->channel;
  if (!channel.writer.empty()) {
    const absl::StatusOr<bool> sent = channel.writer.Write(channel.fd.get());
    // An init that has failed already has left a word why, read below.
    if (sent.ok() && !*sent) {
      return StepResult::WhenWritable(channel.fd.get());
    }
  }
  // execve closes the child's end of the channel: no news is good news.
  const absl::Status ended =
      container_->state == Container::State::kExited &&
              started_.started_at() == 0
          ? absl::FailedPreconditionError(
                absl::StrCat("start container: it ended with exit code ",
                             container_->exit_code, " before it was started"))
          : absl::OkStatus();
  StepResult result = AwaitReport(channel, report_, failed_, ended);
  if (result.waits()) {
    return result;
  }
  channel = ChildChannel();
  RETURN_IF_ERROR(result.status());
  return End();
}

absl::Status StartWork::Begin() {
  Container& container = *container_;
  if (container.starting) {
    return absl::FailedPreconditionError("start container: being started");
  }
  const bool ended = container.state == Container::State::kExited;
  if (container.state == Container::State::kRunning ||
      !container.channel.fd.ok()) {
    return absl::FailedPreconditionError("start container: not created");
  }
  begun_ = true;
  container.starting = true;
  if (ended) {
    return absl::OkStatus();
  }
  container.started_at = NowNanos();
  started_.set_started_at(container.started_at);
  if (write(container.channel.fd.get(), "s", 1) != 1) {
    return ErrnoError("start", "container");
  }
  if (!container.has_start_hooks) {
    return absl::OkStatus();
  }
  v1::ChildMessage message;
  message.set_hook_state(call_.hook_state());
  return container.channel.Add(message, {});
}

absl::Status StartWork::End() {
  Container& container = *container_;
  const int mode = ReadSeccompMode(container.pid);
  if (container.state == Container::State::kCreated) {
    container.state = Container::State::kRunning;
  }
  // A filter was asked for: the started program must have one.
  if (!container.process.seccomp_program().empty() &&
      mode == SECCOMP_MODE_DISABLED) {
    [[maybe_unused]] const absl::Status killed =
        kernel::SignalProcess(container.pidfd.get(), SIGKILL);
    return absl::InternalError("start container: it has no seccomp filter");
  }
  started_.set_seccomp_mode(mode);
  return absl::OkStatus();
}

}  // namespace caisson::keeper
