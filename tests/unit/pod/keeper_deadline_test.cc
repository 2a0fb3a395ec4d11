#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/pod/scripted_keeper.h"

namespace caisson::pod {
namespace {

using ::testing::HasSubstr;

using keeper::v1::FromKeeper;
using keeper::v1::Request;

Deadline In(int milliseconds) {
  return Deadline::After(absl::Milliseconds(milliseconds));
}

class Stopwatch {
 public:
  absl::Duration elapsed() const {
    return absl::FromChrono(std::chrono::steady_clock::now() - begin_);
  }

 private:
  const std::chrono::steady_clock::time_point begin_ =
      std::chrono::steady_clock::now();
};

using KeeperDeadlineTest = ScriptedKeeperTest;

TEST_F(KeeperDeadlineTest, ACallWithoutAnAnswerEndsByItsDeadline) {
  const Stopwatch watch;
  const absl::Status status = keeper_->RemoveContainer("c", In(200));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("remove container c"));
  EXPECT_LT(watch.elapsed(), absl::Seconds(2));
  // Not hung: it was asked a moment ago.
  EXPECT_TRUE(keeper_->CheckResponsive().ok());
}

TEST_F(KeeperDeadlineTest, ALateAnswerIsDroppedAndItsFdsClosed) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper_->Describe(In(50)).status()));
  const auto request = peer_.Receive();
  ASSERT_TRUE(request.has_value() && request->has_describe());
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  {
    const UniqueFd write_end(ends[1]);
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_description()->set_network_fd(1);
    const int fds[] = {write_end.get()};
    peer_.Send(message, fds);
  }
  // The end of the pipe: nobody has the other one any more.
  pollfd end = {read_end.get(), POLLIN, 0};
  ASSERT_EQ(poll(&end, 1, Soon().poll_timeout()), 1);
  char byte = 0;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 0);
  std::thread keeper([this] {
    for (auto next = peer_.Receive(); next.has_value();
         next = peer_.Receive()) {
      peer_.ReplyTo(*next);
      if (next->has_remove_container()) {
        return;
      }
    }
  });
  EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  keeper.join();
}

TEST_F(KeeperDeadlineTest, WhatMakesSomethingSaysWhenNobodyWaitsAnyMore) {
  const Deadline deadline = In(50);
  EXPECT_FALSE(keeper_->StartContainer("c", "", deadline).ok());
  const auto request = peer_.Receive();
  ASSERT_TRUE(request.has_value() && request->has_start_container());
  EXPECT_EQ(request->deadline(), deadline.at().time_since_epoch().count());
}

TEST_F(KeeperDeadlineTest,
       APlanThatIsNotReadEndsByItsDeadlineAndHoldsUpNoOther) {
  WithFds<keeper::v1::ContainerPlan> plan;
  plan.message.set_create_hook_state(std::string(15 << 20, 'x'));
  std::thread caller([&] {
    const auto created = keeper_->CreateContainer(std::move(plan), In(400));
    EXPECT_TRUE(absl::IsDeadlineExceeded(created.status())) << created.status();
  });
  const Stopwatch watch;
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper_->RemoveContainer("c", In(300))));
  EXPECT_LT(watch.elapsed(), absl::Seconds(2));
  caller.join();
}

TEST_F(KeeperDeadlineTest, WhatWasNotBegunToBeSentIsTakenBack) {
  WithFds<keeper::v1::ContainerPlan> plan;
  plan.message.set_create_hook_state(std::string(8 << 20, 'x'));
  EXPECT_FALSE(keeper_->CreateContainer(std::move(plan), In(50)).ok());
  EXPECT_FALSE(keeper_->StartContainer("late", "", In(50)).ok());
  // It reads again: the large one was begun, the start was not.
  bool started = false;
  std::thread caller(
      [&] { EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok()); });
  for (auto next = peer_.Receive(); next.has_value(); next = peer_.Receive()) {
    started = started || next->has_start_container();
    peer_.ReplyTo(*next);
    if (next->has_remove_container()) {
      break;
    }
  }
  caller.join();
  EXPECT_FALSE(started);
}

TEST_F(KeeperDeadlineTest, APlanThatIsTooLargeIsRefused) {
  WithFds<keeper::v1::ContainerPlan> plan;
  plan.message.set_create_hook_state(std::string(17 << 20, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(
      keeper_->CreateContainer(std::move(plan), Soon()).status()));
}

// A keeper that says nothing at all is hung: calls are refused at once, and
// accepted again when it answers.
TEST_F(KeeperDeadlineTest, ASilentKeeperRefusesUntilItAnswers) {
  const Stopwatch watch;
  const absl::Status first = keeper_->RemoveContainer("c", Soon());
  EXPECT_TRUE(absl::IsUnavailable(first)) << first;
  EXPECT_THAT(std::string(first.message()),
              HasSubstr("owes an answer to remove container c since"));
  EXPECT_GE(watch.elapsed(), Keeper::kHungAfter);
  EXPECT_LT(watch.elapsed(), Keeper::kHungAfter + absl::Seconds(5));
  const Stopwatch again;
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("d", Soon())));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->CheckResponsive()));
  EXPECT_LT(again.elapsed(), absl::Seconds(1));
  EXPECT_EQ(ended(), 0);
  // It goes on.
  std::atomic<bool> pinged = false;
  std::thread keeper([&] {
    for (auto next = peer_.Receive(); next.has_value();
         next = peer_.Receive()) {
      peer_.ReplyTo(*next);
      pinged = pinged || next->has_ping();
      if (next->has_signal_container()) {
        return;
      }
    }
  });
  const Deadline patience = Soon();
  while (!keeper_->CheckResponsive().ok() && !patience.passed()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(keeper_->SignalContainer("c", 9, Soon()).ok());
  keeper.join();
  EXPECT_TRUE(pinged);
}

// A long call is no reason to take a keeper for hung that answers pings.
TEST_F(KeeperDeadlineTest, ALongCallIsFollowedByPings) {
  std::thread keeper([this] {
    const auto slow = peer_.Receive();
    ASSERT_TRUE(slow.has_value() && slow->has_remove_container());
    for (int i = 0; i < 5; ++i) {
      const auto ping = peer_.Receive();
      ASSERT_TRUE(ping.has_value() && ping->has_ping());
      peer_.ReplyTo(*ping);
    }
    peer_.ReplyTo(*slow);
  });
  const Stopwatch watch;
  EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  EXPECT_GT(watch.elapsed(), Keeper::kHungAfter);
  keeper.join();
}

}  // namespace
}  // namespace caisson::pod
