#include "runtime/base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/gate.h"

namespace caisson {
namespace {

using ::caisson::testing::Await;
using ::caisson::testing::Gate;

TEST(ThreadPoolTest, HasNoThreadBeforeThereIsWork) {
  ThreadPool pool("test", 4);
  EXPECT_EQ(pool.threads(), 0);
}

TEST(ThreadPoolTest, RunsNoMoreThanItsNumberAtOnce) {
  std::atomic<int> now = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  Gate gate;
  ThreadPool pool("test", 3);
  for (int i = 0; i < 100; ++i) {
    pool.Post([&] {
      const int running = ++now;
      int seen = most;
      while (seen < running && !most.compare_exchange_weak(seen, running)) {
      }
      gate.Wait();
      --now;
      ++done;
    });
  }
  // All three are in use, though nothing has ended.
  EXPECT_TRUE(Await([&] { return now == 3; }));
  EXPECT_EQ(pool.threads(), 3);
  gate.Open();
  EXPECT_TRUE(Await([&] { return done == 100; }));
  EXPECT_EQ(most, 3);
}

TEST(ThreadPoolTest, OneThreadRunsTasksInTheOrderPosted) {
  std::vector<int> order;
  std::atomic<int> done = 0;
  ThreadPool pool("test", 1);
  for (int i = 0; i < 1000; ++i) {
    pool.Post([&, i] {
      order.push_back(i);
      ++done;
    });
  }
  ASSERT_TRUE(Await([&] { return done == 1000; }));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(order[static_cast<size_t>(i)], i);
  }
}

TEST(ThreadPoolTest, ATaskThatWaitsForTheNextGetsAnotherThread) {
  ThreadPool pool("test", 2);
  // A thread that has just become idle must not count twice.
  for (int round = 0; round < 200; ++round) {
    Gate gate;
    std::atomic<int> ended = 0;
    pool.Post([&] {
      gate.Wait();
      ++ended;
    });
    pool.Post([&] {
      gate.Open();
      ++ended;
    });
    ASSERT_TRUE(Await([&] { return ended == 2; })) << round;
  }
}

TEST(ThreadPoolTest, ThreadsHaveItsName) {
  ThreadPool pool("a-lane", 1);
  std::string name;
  Gate gate;
  pool.Post([&] {
    char text[16] = {};
    pthread_getname_np(pthread_self(), text, sizeof(text));
    name = text;
    gate.Open();
  });
  ASSERT_TRUE(gate.WaitFor(absl::Seconds(10)));
  EXPECT_EQ(name, "a-lane");
}

TEST(ThreadPoolTest, IdleThreadsEndAndComeBack) {
  ThreadPool pool("test", 8);
  std::atomic<int> done = 0;
  for (int i = 0; i < 8; ++i) {
    pool.Post([&] { ++done; });
  }
  ASSERT_TRUE(Await([&] { return done == 8; }));
  EXPECT_TRUE(Await([&] { return pool.threads() == 0; }, absl::Seconds(60)));
  pool.Post([&] { ++done; });
  EXPECT_TRUE(Await([&] { return done == 9; }));
}

TEST(ThreadPoolTest, DestructorAwaitsWhatRunsAndDropsWhatWaits) {
  std::atomic<bool> began = false;
  std::atomic<bool> ended = false;
  std::atomic<int> dropped = 0;
  Gate gate;
  std::thread opener;
  {
    ThreadPool pool("test", 1);
    pool.Post([&] {
      began = true;
      gate.Wait();
      ended = true;
    });
    for (int i = 0; i < 10; ++i) {
      pool.Post([&] { ++dropped; });
    }
    ASSERT_TRUE(Await([&] { return began.load(); }));
    // While the destructor below waits, unless the machine is very slow; the
    // outcome is the same then.
    opener = std::thread([&] { gate.Open(); });
  }
  opener.join();
  EXPECT_TRUE(ended);
  // What the running task left to do may have begun before the end.
  EXPECT_LE(dropped, 10);
}

TEST(ThreadPoolTest, ATaskMayPostWhileThePoolEnds) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> stop = false;
    std::atomic<int> runs = 0;
    std::function<void()> again;
    {
      ThreadPool pool("test", 2);
      again = [&] {
        ++runs;
        if (!stop) {
          pool.Post(again);
        }
      };
      pool.Post(again);
      ASSERT_TRUE(Await([&] { return runs > 10; }));
    }
    stop = true;
  }
}

TEST(ThreadPoolTest, DroppedTasksAreDestroyed) {
  const auto token = std::make_shared<int>(0);
  std::atomic<bool> began = false;
  Gate gate;
  auto pool = std::make_unique<ThreadPool>("test", 1);
  pool->Post([&began, &gate] {
    began = true;
    gate.Wait();
  });
  for (int i = 0; i < 5; ++i) {
    pool->Post([token] {});
  }
  ASSERT_TRUE(Await([&] { return began.load(); }));
  gate.Open();
  pool.reset();
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace caisson
