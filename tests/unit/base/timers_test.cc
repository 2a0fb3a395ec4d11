#include "runtime/base/timers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/gate.h"

namespace caisson {
namespace {

using ::caisson::testing::Await;
using ::caisson::testing::Gate;

TEST(TimersTest, CallsInTheOrderOfTheirMoments) {
  Timers timers;
  std::vector<int> order;  // all on one thread
  std::atomic<int> done = 0;
  const auto at = Deadline::After(absl::Milliseconds(50)).at();
  for (const int i : {3, 1, 2, 0}) {
    timers.At(Deadline(at + std::chrono::milliseconds(5 * i)), [&, i] {
      order.push_back(i);
      ++done;
    });
  }
  ASSERT_TRUE(Await([&] { return done == 4; }));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
}

TEST(TimersTest, OfOneMomentInTheOrderGiven) {
  Timers timers;
  std::vector<int> order;
  std::atomic<int> done = 0;
  const Deadline at = Deadline::After(absl::Milliseconds(20));
  for (int i = 0; i < 100; ++i) {
    timers.At(at, [&, i] {
      order.push_back(i);
      ++done;
    });
  }
  ASSERT_TRUE(Await([&] { return done == 100; }));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(order[static_cast<size_t>(i)], i);
  }
}

TEST(TimersTest, NeverBeforeItsMoment) {
  Timers timers;
  std::atomic<bool> early = false;
  std::atomic<int> done = 0;
  for (int i = 0; i < 20; ++i) {
    const Deadline at = Deadline::After(absl::Milliseconds(i * 3));
    timers.At(at, [&, at] {
      early = early || !at.passed();
      ++done;
    });
  }
  ASSERT_TRUE(Await([&] { return done == 20; }));
  EXPECT_FALSE(early);
}

TEST(TimersTest, OneThatHasPassedIsCalledAtOnce) {
  Timers timers;
  std::atomic<bool> called = false;
  timers.At(Deadline::After(absl::Hours(1)), [] {});
  timers.At(Deadline(), [&] { called = true; });
  EXPECT_TRUE(Await([&] { return called.load(); }));
}

TEST(TimersTest, AnEarlierOneIsNotHeldUpByOneThatIsWaitedFor) {
  Timers timers;
  std::atomic<bool> called = false;
  timers.At(Deadline::After(absl::Hours(1)), [] { FAIL(); });
  // The thread sleeps until the later moment by now, most likely.
  std::this_thread::yield();
  timers.At(Deadline::After(absl::Milliseconds(10)), [&] { called = true; });
  EXPECT_TRUE(Await([&] { return called.load(); }));
}

TEST(TimersTest, CancelledOnesAreNotCalledButDestroyed) {
  Timers timers;
  const auto token = std::make_shared<int>(0);
  const Timers::Id id =
      timers.At(Deadline::After(absl::Hours(1)), [token] { FAIL(); });
  EXPECT_TRUE(timers.Cancel(id));
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(timers.Cancel(id));
}

TEST(TimersTest, CancelSaysWhetherItCameInTime) {
  Timers timers;
  Gate began;
  Gate go_on;
  const Timers::Id id = timers.At(Deadline(), [&] {
    began.Open();
    go_on.Wait();
  });
  ASSERT_TRUE(began.WaitFor(absl::Seconds(10)));
  // It runs, and Cancel does not wait for it.
  EXPECT_FALSE(timers.Cancel(id));
  go_on.Open();
  EXPECT_FALSE(timers.Cancel(id));
}

TEST(TimersTest, NeverIsNeverCalled) {
  Timers timers;
  const auto token = std::make_shared<int>(0);
  const Timers::Id id = timers.At(Deadline::Never(), [token] { FAIL(); });
  EXPECT_NE(id, 0u);
  EXPECT_FALSE(timers.Cancel(id));
  EXPECT_EQ(token.use_count(), 1);
  std::atomic<bool> called = false;
  timers.At(Deadline::After(absl::Milliseconds(1)), [&] { called = true; });
  EXPECT_TRUE(Await([&] { return called.load(); }));
}

TEST(TimersTest, UnknownIdsAreNotCancelled) {
  Timers timers;
  EXPECT_FALSE(timers.Cancel(0));
  EXPECT_FALSE(timers.Cancel(12345));
}

TEST(TimersTest, AFunctionMaySetAndCancelTimers) {
  Timers timers;
  std::atomic<bool> called = false;
  const Timers::Id other =
      timers.At(Deadline::After(absl::Hours(1)), [] { FAIL(); });
  std::atomic<bool> cancelled = false;
  timers.At(Deadline(), [&] {
    cancelled = timers.Cancel(other);
    timers.At(Deadline(), [&] { called = true; });
  });
  EXPECT_TRUE(Await([&] { return called.load(); }));
  EXPECT_TRUE(cancelled);
}

TEST(TimersTest, DestructorDropsWhatIsNotDue) {
  const auto token = std::make_shared<int>(0);
  {
    Timers timers;
    timers.At(Deadline::After(absl::Hours(1)), [token] { FAIL(); });
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(TimersTest, EachIsEitherCalledOrCancelled) {
  Timers timers;
  std::atomic<int> called = 0;
  std::atomic<int> cancelled = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const Timers::Id id = timers.At(Deadline::After(absl::Microseconds(50)),
                                        [&] { ++called; });
        if (i % 2 == 0) {
          std::this_thread::yield();
        }
        cancelled += timers.Cancel(id) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(Await([&] { return called + cancelled == 2000; }))
      << called << " called, " << cancelled << " cancelled";
}

}  // namespace
}  // namespace caisson
