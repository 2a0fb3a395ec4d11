#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/event_loop.h"

namespace caisson::keeper {

// Hears of the ends of the keeper's children, and reaps them.
//
// The two are not the same: a process that is traced goes to its tracer first
// (ptrace(2)), and one that seized it and never waits keeps it from being
// reaped for ever, while its pidfd is readable.  Such a process counts as
// ended; it is reaped later, when a timer finds that it can be.
//
// Waits for nothing.  Single-threaded.
class Reaper {
 public:
  // `exit_code`: as shells tell it; 255 when it can't be known.
  using Ended = std::function<void(int exit_code)>;

  explicit Reaper(EventLoop& loop) : loop_(loop) {}

  // Calls `ended` once, from the loop.  The pidfd is borrowed until then.
  absl::Status Watch(int pidfd, pid_t pid, Ended ended);

  // Nothing is called for it any more; it is reaped all the same.  Takes a
  // pidfd that may be watched, may have ended, or not be ok().
  void Leave(UniqueFd pidfd);

  // The same after SIGKILL.
  void Kill(UniqueFd pidfd);

 private:
  void OnEnd(int pidfd);
  void Keep(UniqueFd pidfd);
  void RetryAt(absl::Duration after);
  void Retry();

  struct Watched {
    pid_t pid;
    Ended ended;
  };

  EventLoop& loop_;
  std::map<int, Watched> watched_;
  std::map<int, UniqueFd> left_;  // and not ended
  // Ended, but somebody else's first.
  std::vector<UniqueFd> held_;
  absl::Duration retry_after_;
  EventLoop::Timer timer_ = 0;
};

// A pidfd is readable from the process's end on (pidfd_open(2)).
bool HasEnded(int pidfd);

// SIGKILL; nothing for one that has ended.
void SendKill(int pidfd);

}  // namespace caisson::keeper
