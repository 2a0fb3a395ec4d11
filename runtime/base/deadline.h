#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace caisson {

// A moment on the monotonic clock by which a wait ends.  Setting the machine's
// clock moves none.  A value: copy it; any thread.
class Deadline {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Already passed.
  Deadline() = default;

  explicit Deadline(TimePoint at) : at_(at) {}

  // `time` from now; what is longer than a year is Never().
  static Deadline After(absl::Duration time);

  static Deadline Never() { return Deadline(TimePoint::max()); }

  // The one that comes first.
  static Deadline Earlier(Deadline a, Deadline b) { return a < b ? a : b; }

  bool passed() const { return std::chrono::steady_clock::now() >= at_; }

  bool is_never() const { return at_ == TimePoint::max(); }

  // Not negative; absl::InfiniteDuration() for Never().
  absl::Duration left() const;

  // For poll(2) and epoll_wait(2): milliseconds, rounded up, at most an hour
  // (the caller looks again); -1 for Never().
  int poll_timeout() const;

  TimePoint at() const { return at_; }

  friend auto operator<=>(const Deadline&, const Deadline&) = default;

 private:
  TimePoint at_;
};

}  // namespace caisson
