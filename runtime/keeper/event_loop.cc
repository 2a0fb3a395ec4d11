#include "runtime/keeper/event_loop.h"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

constexpr int kMaxEvents = 32;

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_.ok()) {
    return ErrnoError("create", "epoll");
  }
  return loop;
}

absl::Status EventLoop::Add(int fd, uint32_t events, Callback callback) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = ++last_;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoError("watch", "file descriptor");
  }
  watches_[last_] =
      std::make_shared<const Watch>(Watch{fd, std::move(callback)});
  numbers_[fd] = last_;
  return absl::OkStatus();
}

void EventLoop::Change(int fd, uint32_t events) {
  const auto found = numbers_.find(fd);
  if (found == numbers_.end()) {
    return;
  }
  epoll_event event = {};
  event.events = events;
  event.data.u64 = found->second;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Remove(int fd) {
  const auto found = numbers_.find(fd);
  if (found == numbers_.end()) {
    return;
  }
  watches_.erase(found->second);
  numbers_.erase(found);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::Timer EventLoop::RunAt(Deadline at, Callback callback) {
  timers_[++last_] = {at, std::move(callback)};
  return last_;
}

void EventLoop::Cancel(Timer timer) {
  timers_.erase(timer);
}

// There are few.
EventLoop::Timers::iterator EventLoop::NextTimer() {
  auto next = timers_.begin();
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->second.first < next->second.first) {
      next = it;
    }
  }
  return next;
}

void EventLoop::RunTimers() {
  for (auto next = NextTimer();
       next != timers_.end() && next->second.first.passed();
       next = NextTimer()) {
    const Callback callback = std::move(next->second.second);
    timers_.erase(next);
    callback();
  }
}

void EventLoop::Dispatch(Number number) {
  // A callback before this one may have removed it.
  const auto found = watches_.find(number);
  if (found != watches_.end()) {
    // It may remove itself.
    const std::shared_ptr<const Watch> watch = found->second;
    watch->callback();
  }
}

absl::Status EventLoop::Run() {
  epoll_event events[kMaxEvents];
  for (;;) {
    RunTimers();
    if (after_round_ != nullptr) {
      after_round_();
    }
    if (stopped_) {
      return absl::OkStatus();
    }
    const auto next = NextTimer();
    const int count = epoll_wait(
        epoll_.get(), events, kMaxEvents,
        next == timers_.end() ? -1 : next->second.first.poll_timeout());
    if (count < 0 && errno != EINTR) {
      return ErrnoError("wait for", "events");
    }
    for (int i = 0; i < count; ++i) {
      Dispatch(events[i].data.u64);
    }
  }
}

}  // namespace caisson::keeper
