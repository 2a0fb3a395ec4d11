#include "runtime/keeper/child_report.h"

#include <sys/socket.h>

#include <optional>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

// A stage is not killed at once: it may have made the init and not said so
// yet.  It has nothing more to do then; one that takes longer is stopped, or
// waits for a filesystem.
constexpr absl::Duration kPatience = absl::Seconds(1);
// A process in an uninterruptible wait does not die of SIGKILL.
constexpr absl::Duration kEndTime = absl::Seconds(3);

bool TakeInit(ReceivedMessage& received, ChildReport& report) {
  if (received.message.init_pid() == 0 || received.fds.size() != 1) {
    return false;
  }
  report.init_pid = received.message.init_pid();
  report.init = std::move(received.fds[0]);
  return true;
}

}  // namespace

absl::Status ChildEnded() {
  return absl::AbortedError(
      "the child ended without a word (killed, or out of memory)");
}

StepResult AwaitReport(ChildChannel& channel, ChildReport& report,
                       std::string& failed, const absl::Status& ended) {
  for (;;) {
    absl::StatusOr<std::optional<ReceivedMessage>> received = channel.Receive();
    if (absl::IsOutOfRange(received.status())) {
      return ended;
    }
    RETURN_IF_ERROR(received.status());
    if (!received->has_value()) {
      return StepResult::WhenReadable(channel.fd.get());
    }
    v1::ChildMessage& message = (*received)->message;
    std::vector<UniqueFd>& fds = (*received)->fds;
    if (TakeInit(**received, report)) {
      continue;
    }
    if (message.has_error()) {
      failed = message.error().step();
      return ToStatus(message.error());
    }
    if (message.terminal_fd() == 1 && fds.size() == 1) {
      report.terminal = std::move(fds[0]);
      continue;
    }
    if (message.root_fd() == 1 && fds.size() == 1) {
      report.root = std::move(fds[0]);
    } else {
      report.message = std::move(message);
    }
    report.complete = true;
    return absl::OkStatus();
  }
}

StepResult AwaitInit(ChildChannel& channel, int stage, ChildReport& report) {
  // It reports before it ends, whatever ends it.
  if (!HasEnded(stage)) {
    return StepResult::WhenReadable(stage);
  }
  ASSIGN_OR_RETURN(std::optional<ReceivedMessage> received, channel.Receive());
  if (received.has_value() && TakeInit(*received, report)) {
    return absl::OkStatus();
  }
  return absl::AbortedError("the child ended without a word of its init");
}

StepResult AwaitEnd(UniqueFd& pidfd, Reaper& reaper) {
  if (pidfd.ok() && !HasEnded(pidfd.get())) {
    return StepResult::WhenReadable(pidfd.get());
  }
  reaper.Leave(std::move(pidfd));
  return absl::OkStatus();
}

EndOfChildren::EndOfChildren(Reaper& reaper, UniqueFd stage,
                             ChildChannel channel, UniqueFd init)
    : reaper_(reaper),
      stage_(std::move(stage)),
      channel_(std::move(channel)),
      init_(std::move(init)),
      patience_(Deadline::After(kPatience)),
      end_(Deadline::After(kEndTime)) {
  if (channel_.fd.ok()) {
    // A child that awaits its root or its start must hear that none comes,
    // whoever has a copy of this.
    shutdown(channel_.fd.get(), SHUT_WR);
  }
}

StepResult EndOfChildren::Resume() {
  if (init_.ok()) {
    SendKill(init_.get());
  }
  if (stage_.ok()) {
    StepResult result = AwaitStage();
    if (result.waits()) {
      return result;
    }
    ReadInit();
    reaper_.Leave(std::move(stage_));
  }
  if (init_.ok()) {
    SendKill(init_.get());
    if (!HasEnded(init_.get()) && !end_.passed()) {
      return StepResult::WhenReadable(init_.get(), end_);
    }
    reaper_.Leave(std::move(init_));
  }
  return absl::OkStatus();
}

StepResult EndOfChildren::AwaitStage() {
  if (HasEnded(stage_.get()) || end_.passed()) {
    return absl::OkStatus();
  }
  if (!patience_.passed()) {
    return StepResult::WhenReadable(stage_.get(), patience_);
  }
  SendKill(stage_.get());
  return StepResult::WhenReadable(stage_.get(), end_);
}

void EndOfChildren::ReadInit() {
  ChildReport report;
  while (!init_.ok() && channel_.fd.ok()) {
    absl::StatusOr<std::optional<ReceivedMessage>> received =
        channel_.Receive();
    if (!received.ok() || !received->has_value()) {
      return;
    }
    if (TakeInit(**received, report)) {
      init_ = std::move(report.init);
    }
  }
}

}  // namespace caisson::keeper
