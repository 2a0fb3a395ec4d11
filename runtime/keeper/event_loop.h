#pragma once

#include <functional>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

// epoll(7) in two classes: background work (logs, exits) goes on while a
// request waits for a child; requests themselves run one after the other.
// Level-triggered.  Single-threaded.
class EventLoop {
 public:
  using Callback = std::function<void()>;

  enum class Class { kBackground, kRequests };

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();

  // Calls `callback` whenever `fd` (borrowed) is readable or hung up.
  absl::Status Add(int fd, Class event_class, Callback callback);
  // Before the fd is closed.  OK for one never added.
  void Remove(int fd);

  // Runs until Stop().
  absl::Status Run();

  void Stop() { stopped_ = true; }

  // Runs background work until `fd` is readable or hung up.
  absl::Status RunUntilReadable(int fd);

 private:
  EventLoop() = default;

  absl::Status Dispatch(int epoll);

  UniqueFd requests_;  // holds background_ too
  UniqueFd background_;
  std::map<int, Callback> callbacks_;
  bool stopped_ = false;
};

}  // namespace caisson::keeper
