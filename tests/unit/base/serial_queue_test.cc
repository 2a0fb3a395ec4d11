#include "runtime/base/serial_queue.h"

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

TEST(SerialQueueTest, RunsOneAtATimeInTheOrderPosted) {
  ThreadPool pool("test", 8);
  SerialQueue queue(pool);
  std::vector<int> order;  // no lock: only one task runs at a time
  std::atomic<int> done = 0;
  std::atomic<int> inside = 0;
  std::atomic<bool> overlapped = false;
  for (int i = 0; i < 5000; ++i) {
    queue.Post([&, i] {
      overlapped = overlapped || ++inside > 1;
      order.push_back(i);
      --inside;
      ++done;
    });
  }
  ASSERT_TRUE(Await([&] { return done == 5000; }));
  EXPECT_FALSE(overlapped);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(order[static_cast<size_t>(i)], i);
  }
}

TEST(SerialQueueTest, KeepsEachPostersOrderUnderLoad) {
  constexpr int kPosters = 8;
  constexpr int kEach = 500;
  ThreadPool pool("test", 4);
  SerialQueue queue(pool);
  std::vector<int> last(kPosters, -1);
  std::atomic<int> done = 0;
  std::atomic<bool> wrong = false;
  std::vector<std::thread> posters;
  for (int poster = 0; poster < kPosters; ++poster) {
    posters.emplace_back([&, poster] {
      for (int i = 0; i < kEach; ++i) {
        queue.Post([&, poster, i] {
          int& seen = last[static_cast<size_t>(poster)];
          wrong = wrong || seen != i - 1;
          seen = i;
          ++done;
        });
      }
    });
  }
  for (std::thread& poster : posters) {
    poster.join();
  }
  ASSERT_TRUE(Await([&] { return done == kPosters * kEach; }));
  EXPECT_FALSE(wrong);
}

TEST(SerialQueueTest, ATaskPostedWithinATaskRunsAfterIt) {
  ThreadPool pool("test", 4);
  SerialQueue queue(pool);
  std::vector<int> order;
  std::atomic<bool> done = false;
  Gate posted;
  queue.Post([&] {
    posted.Wait();
    queue.Post([&] {
      order.push_back(3);
      done = true;
    });
    order.push_back(1);
  });
  queue.Post([&] { order.push_back(2); });
  posted.Open();
  ASSERT_TRUE(Await([&] { return done.load(); }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(SerialQueueTest, WhatWasPostedRunsThoughTheQueueIsGone) {
  ThreadPool pool("test", 1);
  Gate gate;
  std::atomic<int> done = 0;
  pool.Post([&] { gate.Wait(); });
  {
    SerialQueue queue(pool);
    for (int i = 0; i < 10; ++i) {
      queue.Post([&] { ++done; });
    }
  }
  EXPECT_EQ(done, 0);
  gate.Open();
  EXPECT_TRUE(Await([&] { return done == 10; }));
}

TEST(SerialQueueTest, ATaskMayDestroyItsQueue) {
  ThreadPool pool("test", 2);
  auto queue = std::make_unique<SerialQueue>(pool);
  std::atomic<bool> done = false;
  Gate posted;
  SerialQueue* const raw = queue.get();
  raw->Post([&] {
    posted.Wait();
    queue.reset();
  });
  raw->Post([&] { done = true; });
  posted.Open();
  EXPECT_TRUE(Await([&] { return done.load(); }));
}

TEST(SerialQueueTest, TwoQueuesOfOnePoolRunBesideEachOther) {
  ThreadPool pool("test", 2);
  SerialQueue one(pool);
  SerialQueue other(pool);
  Gate gate;
  std::atomic<bool> done = false;
  one.Post([&] { gate.Wait(); });
  other.Post([&] { done = true; });
  EXPECT_TRUE(Await([&] { return done.load(); }));
  gate.Open();
}

}  // namespace
}  // namespace caisson
