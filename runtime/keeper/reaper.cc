#include "runtime/keeper/reaper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/status/statusor.h"
#include "runtime/base/log.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/process_stat.h"

namespace caisson::keeper {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(10);
constexpr absl::Duration kLastRetry = absl::Seconds(1);

constexpr int kUnknown = 255;

// Of one that can't be reaped: what the kernel shows of it.
int ExitCodeOf(pid_t pid) {
  const absl::StatusOr<uint64_t> field =
      kernel::ReadProcessStat(pid, kernel::kStatExitCode);
  if (!field.ok()) {
    return kUnknown;
  }
  const int status = static_cast<int>(*field);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What became of an ended process.
enum class Fate { kReaped, kHeld };

struct Look {
  bool ended = false;
  Fate fate = Fate::kReaped;
  int exit_code = kUnknown;
};

// `pid`: for the exit code of one that is held; 0: it doesn't matter.
Look LookAt(int pidfd, pid_t pid) {
  Look look;
  // Readable first: it is surely over when then it can't be reaped.
  if (!HasEnded(pidfd)) {
    return look;
  }
  look.ended = true;
  const absl::StatusOr<int> code = kernel::Reap(pidfd, false);
  if (code.ok()) {
    look.exit_code = *code;
  } else if (absl::IsUnavailable(code.status())) {
    look.fate = Fate::kHeld;
    look.exit_code = pid == 0 ? kUnknown : ExitCodeOf(pid);
  }
  // Any other error: it is not ours to wait for (any more).
  return look;
}

}  // namespace

bool HasEnded(int pidfd) {
  pollfd end = {pidfd, POLLIN, 0};
  return poll(&end, 1, 0) > 0;
}

void SendKill(int pidfd) {
  [[maybe_unused]] const absl::Status killed =
      kernel::SignalProcess(pidfd, SIGKILL);
}

absl::Status Reaper::Watch(int pidfd, pid_t pid, Ended ended) {
  watched_[pidfd] = {pid, std::move(ended)};
  return loop_.Add(pidfd, EPOLLIN, [this, pidfd] { OnEnd(pidfd); });
}

void Reaper::Leave(UniqueFd pidfd) {
  if (!pidfd.ok()) {
    return;
  }
  const int number = pidfd.get();
  watched_.erase(number);
  loop_.Remove(number);
  const Look look = LookAt(number, 0);
  if (look.ended) {
    if (look.fate == Fate::kHeld) {
      Keep(std::move(pidfd));
    }
    return;
  }
  const absl::Status added =
      loop_.Add(number, EPOLLIN, [this, number] { OnEnd(number); });
  if (added.ok()) {
    left_[number] = std::move(pidfd);
  } else {
    Keep(std::move(pidfd));
  }
}

void Reaper::Kill(UniqueFd pidfd) {
  if (pidfd.ok()) {
    SendKill(pidfd.get());
    Leave(std::move(pidfd));
  }
}

void Reaper::OnEnd(int pidfd) {
  const auto watched = watched_.find(pidfd);
  const Look look =
      LookAt(pidfd, watched == watched_.end() ? 0 : watched->second.pid);
  if (!look.ended) {
    return;
  }
  loop_.Remove(pidfd);
  // What holds another may have been this.
  Retry();
  if (const auto left = left_.find(pidfd); left != left_.end()) {
    UniqueFd owned = std::move(left->second);
    left_.erase(left);
    if (look.fate == Fate::kHeld) {
      Keep(std::move(owned));
    }
    return;
  }
  if (look.fate == Fate::kHeld) {
    Keep(UniqueFd(fcntl(pidfd, F_DUPFD_CLOEXEC, 0)));
  }
  if (watched != watched_.end()) {
    const Ended ended = std::move(watched->second.ended);
    watched_.erase(watched);
    ended(look.exit_code);
  }
}

void Reaper::Keep(UniqueFd pidfd) {
  if (!pidfd.ok()) {
    LogWarning("reap process: no fd to keep it by");
    return;
  }
  held_.push_back(std::move(pidfd));
  RetryAt(kFirstRetry);
}

void Reaper::RetryAt(absl::Duration after) {
  retry_after_ = after;
  loop_.Cancel(timer_);
  timer_ = loop_.RunAt(Deadline::After(after), [this] {
    Retry();
    if (!held_.empty()) {
      RetryAt(std::min(retry_after_ * 2, kLastRetry));
    }
  });
}

void Reaper::Retry() {
  std::erase_if(held_, [](const UniqueFd& pidfd) {
    const Look look = LookAt(pidfd.get(), 0);
    return look.ended && look.fate == Fate::kReaped;
  });
}

}  // namespace caisson::keeper
