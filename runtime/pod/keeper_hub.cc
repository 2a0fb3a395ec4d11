#include "runtime/pod/keeper_hub.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <utility>

namespace caisson::pod {
namespace {

constexpr int kMaxEvents = 64;

}  // namespace

KeeperHub& KeeperHub::Get() {
  // Leaked on purpose: its thread outlives static destruction.
  static KeeperHub* const hub = new KeeperHub;
  return *hub;
}

KeeperHub::KeeperHub() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  std::thread thread([this] { Loop(); });
  pthread_setname_np(thread.native_handle(), "keeper-hub");
  thread.detach();
}

uint64_t KeeperHub::Add(int socket, std::function<bool()> readable) {
  auto entry = std::make_shared<Entry>();
  entry->socket = socket;
  entry->readable = std::move(readable);
  epoll_event event = {};
  event.events = EPOLLIN;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    event.data.u64 = ++last_watch_;
    entries_[event.data.u64] = std::move(entry);
  }
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event);
  return event.data.u64;
}

std::shared_ptr<KeeperHub::Entry> KeeperHub::Find(uint64_t watch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = entries_.find(watch);
  return found == entries_.end() ? nullptr : found->second;
}

void KeeperHub::Forget(uint64_t watch, int socket) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.erase(watch);
}

void KeeperHub::Remove(uint64_t watch) {
  const std::shared_ptr<Entry> entry = Find(watch);
  if (entry == nullptr) {
    return;
  }
  // Waits for a callback that is running.
  const std::lock_guard<std::mutex> wait(entry->running);
  if (!entry->removed) {
    entry->removed = true;
    Forget(watch, entry->socket);
  }
}

void KeeperHub::Dispatch(uint64_t watch) {
  const std::shared_ptr<Entry> entry = Find(watch);
  if (entry == nullptr) {
    return;
  }
  const std::lock_guard<std::mutex> running(entry->running);
  if (!entry->removed && !entry->readable()) {
    entry->removed = true;
    Forget(watch, entry->socket);
  }
}

void KeeperHub::Loop() {
  epoll_event events[kMaxEvents];
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events, kMaxEvents, -1);
    for (int i = 0; i < count; ++i) {
      Dispatch(events[i].data.u64);
    }
  }
}

}  // namespace caisson::pod
