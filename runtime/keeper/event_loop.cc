#include "runtime/keeper/event_loop.h"

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

constexpr int kMaxEvents = 32;

absl::Status AddTo(int epoll, int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoError("watch", "file descriptor");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->requests_.reset(epoll_create1(EPOLL_CLOEXEC));
  loop->background_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->requests_.ok() || !loop->background_.ok()) {
    return ErrnoError("create", "epoll");
  }
  RETURN_IF_ERROR(AddTo(loop->requests_.get(), loop->background_.get()));
  return loop;
}

absl::Status EventLoop::Add(int fd, Class event_class, Callback callback) {
  RETURN_IF_ERROR(AddTo(
      event_class == Class::kBackground ? background_.get() : requests_.get(),
      fd));
  callbacks_[fd] = std::move(callback);
  return absl::OkStatus();
}

void EventLoop::Remove(int fd) {
  if (callbacks_.erase(fd) == 0) {
    return;
  }
  // It is in one of the two; the other answers ENOENT.
  epoll_ctl(background_.get(), EPOLL_CTL_DEL, fd, nullptr);
  epoll_ctl(requests_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

absl::Status EventLoop::Dispatch(int epoll) {
  epoll_event events[kMaxEvents];
  const int count = epoll_wait(epoll, events, kMaxEvents, 0);
  if (count < 0 && errno != EINTR) {
    return ErrnoError("wait for", "events");
  }
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == background_.get()) {
      RETURN_IF_ERROR(Dispatch(fd));
      continue;
    }
    // A callback before this one may have removed it.
    const auto found = callbacks_.find(fd);
    if (found != callbacks_.end()) {
      const Callback callback = found->second;
      callback();
    }
  }
  return absl::OkStatus();
}

absl::Status EventLoop::Run() {
  while (!stopped_) {
    pollfd wait = {requests_.get(), POLLIN, 0};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
      return ErrnoError("poll", "events");
    }
    RETURN_IF_ERROR(Dispatch(requests_.get()));
  }
  return absl::OkStatus();
}

absl::Status EventLoop::RunUntilReadable(int fd) {
  for (;;) {
    pollfd waits[2] = {{fd, POLLIN, 0}, {background_.get(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) {
      return ErrnoError("poll", "events");
    }
    if (waits[0].revents != 0) {
      return absl::OkStatus();
    }
    if (waits[1].revents != 0) {
      RETURN_IF_ERROR(Dispatch(background_.get()));
    }
  }
}

}  // namespace caisson::keeper
