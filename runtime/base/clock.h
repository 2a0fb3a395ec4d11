#pragma once

#include <cstdint>

namespace caisson {

// Nanoseconds since the epoch, CLOCK_REALTIME: the unit of CRI timestamps.
int64_t NowNanos();

// Nanoseconds of CLOCK_MONOTONIC: for durations.
int64_t MonotonicNanos();

}  // namespace caisson
