#include "runtime/base/deadline.h"

#include <gtest/gtest.h>

#include <chrono>

namespace caisson {
namespace {

using TimePoint = Deadline::TimePoint;

TEST(DeadlineTest, OneThatNobodySetHasPassed) {
  const Deadline deadline;
  EXPECT_TRUE(deadline.passed());
  EXPECT_EQ(deadline.left(), absl::ZeroDuration());
  EXPECT_EQ(deadline.poll_timeout(), 0);
  EXPECT_FALSE(deadline.is_never());
}

TEST(DeadlineTest, NeverDoesNotPassAndIsLast) {
  const Deadline never = Deadline::Never();
  EXPECT_FALSE(never.passed());
  EXPECT_TRUE(never.is_never());
  EXPECT_EQ(never.left(), absl::InfiniteDuration());
  EXPECT_EQ(never.poll_timeout(), -1);
  const Deadline soon = Deadline::After(absl::Hours(1));
  EXPECT_LT(soon, never);
  EXPECT_EQ(Deadline::Earlier(soon, never), soon);
  EXPECT_EQ(Deadline::Earlier(never, soon), soon);
}

TEST(DeadlineTest, AfterIsOnTheMonotonicClock) {
  const TimePoint before = std::chrono::steady_clock::now();
  const Deadline deadline = Deadline::After(absl::Minutes(5));
  const TimePoint after = std::chrono::steady_clock::now();
  EXPECT_GE(deadline.at(), before + std::chrono::minutes(5));
  EXPECT_LE(deadline.at(), after + std::chrono::minutes(5));
  EXPECT_LE(deadline.left(), absl::Minutes(5));
  EXPECT_GT(deadline.left(), absl::Minutes(4));
}

TEST(DeadlineTest, TimesThatNoClockHolds) {
  EXPECT_TRUE(Deadline::After(absl::InfiniteDuration()).is_never());
  EXPECT_TRUE(Deadline::After(absl::Hours(24 * 366)).is_never());
  EXPECT_TRUE(Deadline::After(absl::Seconds(INT64_MAX)).is_never());
  EXPECT_TRUE(Deadline::After(-absl::Seconds(1)).passed());
  EXPECT_TRUE(Deadline::After(-absl::InfiniteDuration()).passed());
}

TEST(DeadlineTest, PollWaitsNeverShorterThanTheTimeLeft) {
  // 0 would spin through the last millisecond.
  const Deadline soon = Deadline::After(absl::Microseconds(999));
  const int wait = soon.poll_timeout();
  EXPECT_TRUE(wait >= 1 || soon.passed()) << wait;
  const int hour = 3600 * 1000;
  EXPECT_EQ(Deadline::After(absl::Hours(48)).poll_timeout(), hour);
  const int minute = Deadline::After(absl::Minutes(1)).poll_timeout();
  EXPECT_GT(minute, 50 * 1000);
  EXPECT_LE(minute, 60 * 1000);
}

}  // namespace
}  // namespace caisson
