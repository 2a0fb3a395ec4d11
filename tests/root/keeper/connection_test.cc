#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/frame.h"
#include "runtime/pod/keeper_socket.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using keeper::v1::ContainerDescription;

// Connections come and go; the keeper and its containers stay.
class ConnectionTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    path_ = directory_->path() + "/keeper.sock";
    const auto pod = keeper_->CreatePod(PodPlan(), Soon());
    ASSERT_TRUE(pod.ok()) << pod.status();
    for (const char* id : {"a", "b"}) {
      const auto created = keeper_->CreateContainer(
          ContainerPlan(id, {"sleep", "1000"}), Soon());
      ASSERT_TRUE(created.ok()) << created.status();
      pid_ = created->pid();
      ASSERT_TRUE(keeper_->StartContainer(id, "", Soon()).ok());
    }
  }

  // Of the last description; with the lock of the events.
  int ExitCodeTold(const std::string& id) {
    for (const ContainerDescription& each : described_.containers()) {
      if (each.container_id() == id &&
          each.state() == ContainerDescription::EXITED) {
        return each.exit_code();
      }
    }
    return -1;
  }

  std::string path_;
  int pid_ = 0;  // of "b"
};

// A second daemon's connection takes the first one's place.
TEST_F(ConnectionTest, ACutConnectionIsMadeAnew) {
  for (int round = 1; round <= 3; ++round) {
    const auto other = pod::ConnectToKeeper(path_);
    ASSERT_TRUE(other.ok()) << other.status();
    ASSERT_TRUE(Await([&] { return times_described_ >= round; }));
    EXPECT_TRUE(keeper_->Describe(Soon()).ok());
  }
  EXPECT_EQ(described_.pod_id(), "pod");
  EXPECT_EQ(described_.containers_size(), 2);
  EXPECT_EQ(ended_, 0);
  EXPECT_EQ(ProcessesLeft().size(), 2u);
}

TEST_F(ConnectionTest, WhatEndsMeanwhileIsDescribed) {
  ASSERT_EQ(kill(keeper_pid_, SIGSTOP), 0);
  const auto other = pod::ConnectToKeeper(path_);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_EQ(kill(pid_, SIGKILL), 0);
  ASSERT_EQ(kill(keeper_pid_, SIGCONT), 0);
  EXPECT_TRUE(Await([&] { return ExitCodeTold("b") == 137; }));
  EXPECT_EQ(ExitCodeTold("a"), -1);
}

TEST_F(ConnectionTest, ANewDaemonTakesUpAKeeperAndHearsWhatItMissed) {
  const auto exec =
      keeper_->Exec(ExecPlan("e", "a", {"sleep", "1000"}), Soon());
  ASSERT_TRUE(exec.ok()) << exec.status();
  const pod::KeeperIdentity identity = keeper_->identity();
  keeper_.reset();
  ASSERT_EQ(kill(pid_, SIGKILL), 0);
  ASSERT_EQ(kill(exec->pid(), SIGTERM), 0);
  // Reaped, and so seen by the keeper.
  const Deadline patience = Soon();
  while ((kill(pid_, 0) == 0 || kill(exec->pid(), 0) == 0) &&
         !patience.passed()) {
    std::this_thread::yield();
  }
  auto resumed = pod::Keeper::Resume(identity, KeeperOptions());
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  keeper_ = std::move(*resumed);
  ASSERT_TRUE(Await([&] { return times_described_ == 1; }));
  EXPECT_EQ(ExitCodeTold("b"), 137);
  ASSERT_EQ(described_.execs_size(), 1);
  EXPECT_EQ(described_.execs(0).exec_id(), "e");
  EXPECT_EQ(described_.execs(0).exit_code(), 143);
  EXPECT_GT(described_.execs(0).finished_at(), 0);
  // Once.
  const auto now = keeper_->Describe(Soon());
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_EQ(now->pod.execs_size(), 0);
}

// Answers that nobody reads hold up nothing, and not without a bound.
TEST_F(ConnectionTest, ADaemonThatDoesNotReadIsHungUpOn) {
  const pod::KeeperIdentity identity = keeper_->identity();
  keeper_.reset();
  const auto silent = pod::ConnectToKeeper(path_);
  ASSERT_TRUE(silent.ok()) << silent.status();
  keeper::v1::Request request;
  request.mutable_describe();
  const std::string bytes = request.SerializeAsString();
  absl::Status status;
  for (int i = 0; i < 200000 && status.ok(); ++i) {
    status = SendFrame(silent->get(), bytes, {}, Soon());
  }
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  auto resumed = pod::Keeper::Resume(identity, KeeperOptions());
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  keeper_ = std::move(*resumed);
  EXPECT_TRUE(keeper_->Describe(Deadline::After(absl::Seconds(2))).ok());
}

TEST_F(ConnectionTest, AKeeperThatIsKilledHasEnded) {
  keeper_->Kill();
  EXPECT_TRUE(Await([&] { return ended_ == 1; }));
  EXPECT_TRUE(keeper_->AwaitEnd(Soon()).ok());
  EXPECT_TRUE(absl::IsUnavailable(keeper_->Describe(Soon()).status()));
  EXPECT_TRUE(absl::IsNotFound(
      pod::Keeper::Resume(keeper_->identity(), KeeperOptions()).status()));
}

}  // namespace
}  // namespace caisson::testing
