#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

// epoll(7) and timers: the one place where the keeper waits.  What it calls
// must not.  Level-triggered.  Single-threaded.
class EventLoop {
 public:
  using Callback = std::function<void()>;
  using Timer = uint64_t;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();

  // Calls `callback` whenever `fd` (borrowed) has one of `events` of
  // epoll_ctl(2), or was hung up.  One callback an fd.
  absl::Status Add(int fd, uint32_t events, Callback callback);
  void Change(int fd, uint32_t events);
  // Before the fd is closed.  Nothing for one never added.
  void Remove(int fd);

  // Calls `callback` once, not before `at`.
  Timer RunAt(Deadline at, Callback callback);
  void Cancel(Timer timer);

  // Calls `callback` after each round of events.
  void SetAfterRound(Callback callback) { after_round_ = std::move(callback); }

  // Runs until Stop().
  absl::Status Run();

  void Stop() { stopped_ = true; }

 private:
  using Number = uint64_t;

  struct Watch {
    int fd;
    Callback callback;
  };

  EventLoop() = default;

  using Timers = std::map<Timer, std::pair<Deadline, Callback>>;

  // The one that is due first; end() without any.
  Timers::iterator NextTimer();
  void RunTimers();
  void Dispatch(Number number);

  UniqueFd epoll_;
  // By numbers: an fd's is taken again while events of its former owner are
  // still in hand.
  Number last_ = 0;
  std::map<Number, std::shared_ptr<const Watch>> watches_;
  std::map<int, Number> numbers_;
  Timers timers_;
  Callback after_round_;
  bool stopped_ = false;
};

}  // namespace caisson::keeper
