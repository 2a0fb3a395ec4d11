#include "runtime/base/clock.h"

#include <ctime>

namespace caisson {
namespace {

int64_t Read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

int64_t NowNanos() {
  return Read(CLOCK_REALTIME);
}

int64_t MonotonicNanos() {
  return Read(CLOCK_MONOTONIC);
}

}  // namespace caisson
