#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"

namespace caisson::pod {

// One thread that waits for all keepers: for their sockets, their pidfds and
// moments in time.  What it calls must not wait, for it would wait for all.
// Any thread.
class KeeperHub {
 public:
  // Of epoll_ctl(2).
  using Ready = std::function<void(uint32_t events)>;

  // The process's only one, started at its first use and never destroyed.
  static KeeperHub& Get();

  // Calls `ready` on the hub's thread while `fd` (borrowed) has one of
  // `events`, EPOLLHUP or EPOLLERR, until Remove() of the number returned
  // here.  0 when it can't be watched.
  uint64_t Add(int fd, uint32_t events, Ready ready);
  void Change(uint64_t watch, int fd, uint32_t events);

  // While `fd` is still open.  Does not wait: `ready` may be running, or run
  // once more, so it holds what it needs weakly.
  void Remove(uint64_t watch, int fd);

  // Calls `task` once on the hub's thread, not before `at`.
  void RunAt(Deadline at, std::function<void()> task);

 private:
  KeeperHub();
  void Loop();
  void Dispatch(uint64_t watch, uint32_t events);
  // Runs what is due; when the next one is.
  Deadline RunDue();

  UniqueFd epoll_;
  UniqueFd wake_;  // eventfd(2): there is an earlier task

  Mutex mutex_;
  // By a number of their own: an fd's is taken again while events of the
  // socket that had it before are still in hand.
  uint64_t last_watch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::shared_ptr<const Ready>> watches_
      ABSL_GUARDED_BY(mutex_);
  std::multimap<Deadline, std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::pod
