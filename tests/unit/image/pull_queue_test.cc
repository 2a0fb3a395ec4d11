#include "runtime/image/pull_queue.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace caisson::image {
namespace {

// What a fetch waits for.
class Gate {
 public:
  void Open() { eventfd_write(fd_.get(), 1); }

  int fd() const { return fd_.get(); }

  bool IsOpenWithin(absl::Duration time) const {
    pollfd fd = {fd_.get(), POLLIN, 0};
    return poll(&fd, 1, Deadline::After(time).poll_timeout()) > 0;
  }

 private:
  UniqueFd fd_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
};

constexpr absl::Duration kLong = absl::Seconds(30);

bool IsReadable(int fd, absl::Duration time) {
  pollfd each = {fd, POLLIN, 0};
  return poll(&each, 1, Deadline::After(time).poll_timeout()) > 0;
}

TEST(PullQueueTest, OneFetchServesAllThatAskMeanwhile) {
  PullQueue queue(4);
  Gate begun;
  Gate go;
  std::atomic<int> fetches{0};
  const auto work = [&](PullQueue::Turn&) -> absl::StatusOr<std::string> {
    ++fetches;
    begun.Open();
    EXPECT_TRUE(go.IsOpenWithin(kLong));
    return std::string("id");
  };
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      const auto id = queue.Run("a", work, Deadline::After(kLong), -1);
      ASSERT_TRUE(id.ok()) << id.status();
      EXPECT_EQ(*id, "id");
      ++answered;
    });
  }
  EXPECT_TRUE(begun.IsOpenWithin(kLong));
  EXPECT_EQ(queue.Run("a", work, Deadline(), -1).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  go.Open();
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(answered, 5);
  // Some may have asked after the first fetch was done.
  EXPECT_LE(fetches, 5);
}

// Between its record and its answer a fetch's image may be removed: whoever
// asks from then on gets a fetch of its own.
TEST(PullQueueTest, NobodyJoinsAFetchThatIsClosed) {
  PullQueue queue(4);
  Gate closed;
  Gate go;
  std::thread first([&] {
    const auto id = queue.Run(
        "a",
        [&](PullQueue::Turn& turn) -> absl::StatusOr<std::string> {
          EXPECT_TRUE(turn.Close());
          closed.Open();
          EXPECT_TRUE(go.IsOpenWithin(kLong));
          return std::string("old");
        },
        Deadline::After(kLong), -1);
    EXPECT_EQ(id.value_or(""), "old");
  });
  EXPECT_TRUE(closed.IsOpenWithin(kLong));
  const auto id = queue.Run(
      "a", [](PullQueue::Turn&) { return std::string("new"); },
      Deadline::After(absl::Seconds(5)), -1);
  EXPECT_EQ(id.value_or(std::string(id.status().message())), "new");
  go.Open();
  first.join();
}

TEST(PullQueueTest, TheLastOneThatLeavesCancelsIt) {
  PullQueue queue(4);
  Gate begun;
  Gate ended;
  Gate leave;
  const auto work = [&](PullQueue::Turn& turn) -> absl::StatusOr<std::string> {
    begun.Open();
    EXPECT_TRUE(IsReadable(turn.cancel(), kLong));
    EXPECT_FALSE(turn.Close());
    ended.Open();
    return absl::CancelledError("as told");
  };
  std::thread other([&] {
    EXPECT_EQ(queue.Run("a", work, Deadline::After(kLong), leave.fd())
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  });
  EXPECT_TRUE(begun.IsOpenWithin(kLong));
  EXPECT_EQ(queue.Run("a", work, Deadline::After(absl::Milliseconds(20)), -1)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(ended.IsOpenWithin(absl::Milliseconds(50)));
  leave.Open();
  other.join();
  EXPECT_TRUE(ended.IsOpenWithin(kLong));
}

TEST(PullQueueTest, TheEndOfTheQueueCancelsWhatRuns) {
  bool cancelled = false;
  {
    PullQueue queue(1);
    EXPECT_EQ(
        queue
            .Run(
                "a",
                [&](PullQueue::Turn& turn) -> absl::StatusOr<std::string> {
                  cancelled = IsReadable(turn.cancel(), kLong);
                  return std::string();
                },
                Deadline::After(absl::Milliseconds(50)), -1)
            .status()
            .code(),
        absl::StatusCode::kDeadlineExceeded);
  }
  // It had begun, or was dropped before.
  SUCCEED() << cancelled;
}

TEST(PullQueueTest, OnlySoManyRun) {
  PullQueue queue(2);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  Gate go;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const auto id = queue.Run(
          std::to_string(i),
          [&](PullQueue::Turn&) -> absl::StatusOr<std::string> {
            most = std::max<int>(most, ++running);
            EXPECT_TRUE(go.IsOpenWithin(kLong));
            --running;
            return std::string();
          },
          Deadline::After(kLong), -1);
      EXPECT_TRUE(id.ok()) << id.status();
    });
  }
  const Deadline deadline = Deadline::After(absl::Seconds(10));
  while (running < 2 && !deadline.passed()) {
    std::this_thread::yield();
  }
  // One that waits for its turn may give up, too.
  EXPECT_EQ(queue
                .Run(
                    "late", [](PullQueue::Turn&) { return std::string(); },
                    Deadline::After(absl::Milliseconds(50)), -1)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  go.Open();
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(most, 2);
}

}  // namespace
}  // namespace caisson::image
