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

void KeeperHub::Add(int socket, std::function<bool()> readable) {
  auto entry = std::make_shared<Entry>();
  entry->readable = std::move(readable);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_[socket] = std::move(entry);
  }
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = socket;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event);
}

void KeeperHub::Forget(int socket) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.erase(socket);
}

void KeeperHub::Remove(int socket) {
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(socket);
    if (found == entries_.end()) {
      return;
    }
    entry = found->second;
  }
  Forget(socket);
  // Waits for a callback that is running.
  const std::lock_guard<std::mutex> wait(entry->running);
  entry->removed = true;
}

void KeeperHub::Dispatch(int socket) {
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(socket);
    if (found == entries_.end()) {
      return;
    }
    entry = found->second;
  }
  const std::lock_guard<std::mutex> running(entry->running);
  if (!entry->removed && !entry->readable()) {
    entry->removed = true;
    Forget(socket);
  }
}

void KeeperHub::Loop() {
  epoll_event events[kMaxEvents];
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events, kMaxEvents, -1);
    for (int i = 0; i < count; ++i) {
      Dispatch(events[i].data.fd);
    }
  }
}

}  // namespace caisson::pod
