#include "runtime/pod/keeper_hub.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <thread>
#include <utility>

namespace caisson::pod {
namespace {

constexpr int kMaxEvents = 64;
// The number of wake_ among the watches.
constexpr uint64_t kWake = 0;

}  // namespace

KeeperHub& KeeperHub::Get() {
  // Leaked on purpose: its thread outlives static destruction.
  static KeeperHub* const hub = new KeeperHub;
  return *hub;
}

KeeperHub::KeeperHub()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kWake;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  std::thread thread([this] { Loop(); });
  pthread_setname_np(thread.native_handle(), "keeper-hub");
  thread.detach();
}

uint64_t KeeperHub::Add(int fd, uint32_t events, Ready ready) {
  epoll_event event = {};
  event.events = events;
  {
    const MutexLock lock(mutex_);
    event.data.u64 = ++last_watch_;
    watches_[event.data.u64] = std::make_shared<const Ready>(std::move(ready));
  }
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const MutexLock lock(mutex_);
    watches_.erase(event.data.u64);
    return 0;
  }
  return event.data.u64;
}

void KeeperHub::Change(uint64_t watch, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = watch;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void KeeperHub::Remove(uint64_t watch, int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  const MutexLock lock(mutex_);
  watches_.erase(watch);
}

void KeeperHub::RunAt(Deadline at, std::function<void()> task) {
  const MutexLock lock(mutex_);
  const auto place = tasks_.emplace(at, std::move(task));
  if (place == tasks_.begin()) {
    eventfd_write(wake_.get(), 1);
  }
}

void KeeperHub::Dispatch(uint64_t watch, uint32_t events) {
  std::shared_ptr<const Ready> ready;
  {
    const MutexLock lock(mutex_);
    const auto found = watches_.find(watch);
    if (found == watches_.end()) {
      return;
    }
    ready = found->second;
  }
  (*ready)(events);
}

Deadline KeeperHub::RunDue() {
  for (;;) {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      if (tasks_.empty()) {
        return Deadline::Never();
      }
      const auto next = tasks_.begin();
      if (!next->first.passed()) {
        return next->first;
      }
      task = std::move(next->second);
      tasks_.erase(next);
    }
    task();
  }
}

void KeeperHub::Loop() {
  epoll_event events[kMaxEvents];
  for (;;) {
    const Deadline next = RunDue();
    const int count =
        epoll_wait(epoll_.get(), events, kMaxEvents, next.poll_timeout());
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kWake) {
        eventfd_t ignored = 0;
        eventfd_read(wake_.get(), &ignored);
        continue;
      }
      Dispatch(events[i].data.u64, events[i].events);
    }
  }
}

}  // namespace caisson::pod
