#include "runtime/base/deadline.h"

#include <algorithm>

namespace caisson {
namespace {

// A number of nanoseconds must not overflow the clock's.
constexpr absl::Duration kLongest = absl::Hours(24 * 365);
constexpr int64_t kMostMillis = 3600 * 1000;

}  // namespace

Deadline Deadline::After(absl::Duration time) {
  if (time >= kLongest) {
    return Never();
  }
  return Deadline(std::chrono::steady_clock::now() +
                  absl::ToChronoNanoseconds(time));
}

absl::Duration Deadline::left() const {
  if (is_never()) {
    return absl::InfiniteDuration();
  }
  return std::max(absl::ZeroDuration(),
                  absl::FromChrono(at_ - std::chrono::steady_clock::now()));
}

int Deadline::poll_timeout() const {
  if (is_never()) {
    return -1;
  }
  const int64_t millis =
      absl::ToInt64Milliseconds(left() + absl::Nanoseconds(999999));
  return static_cast<int>(std::min(millis, kMostMillis));
}

}  // namespace caisson
