#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/pod/keeper_socket.h"
#include "tests/unit/pod/scripted_keeper.h"

namespace caisson::pod {
namespace {

using ::testing::HasSubstr;

// A client whose keeper listens, so that it can come back.
class KeeperResumeTest : public ScriptedKeeperTest {
 protected:
  void SetUp() override {
    ScriptedKeeperTest::SetUp();
    path_ = directory_ + "/keeper.sock";
    auto listener = Keeper::Listen(path_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = std::move(*listener);
  }

  // The next that connects.
  Peer Accept() {
    pollfd wait = {listener_.get(), POLLIN, 0};
    EXPECT_EQ(poll(&wait, 1, Soon().poll_timeout()), 1);
    Peer peer(
        UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    peer.pid = process_->pid();
    return peer;
  }

  // Answers what comes, up to the removal of a container.
  static void ServeUntilRemoval(Peer& peer) {
    for (auto next = peer.Receive(); next.has_value(); next = peer.Receive()) {
      peer.ReplyTo(*next);
      if (next->has_remove_container()) {
        return;
      }
    }
  }

  std::string path_;
  UniqueFd listener_;
};

TEST_F(KeeperResumeTest, ABrokenConnectionIsMadeAnewWhileTheProcessLives) {
  std::thread caller([this] {
    const absl::Status status = keeper_->RemoveContainer("c", Soon());
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("connection broke"));
  });
  EXPECT_TRUE(peer_.Receive().has_value());
  peer_.Leave();
  caller.join();
  // A call meanwhile waits for the connection.
  std::thread next(
      [this] { EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok()); });
  Peer peer = Accept();
  ServeUntilRemoval(peer);
  next.join();
  EXPECT_TRUE(Await([this] { return described_.size() == 1; }));
  EXPECT_EQ(ended(), 0);
}

TEST_F(KeeperResumeTest, NonsenseIsTheEndOfAConnectionAndOfNothingElse) {
  peer_.SendRaw(std::string("\xff\xff\xff\xff", 4));
  Peer peer = Accept();
  std::thread caller(
      [this] { EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok()); });
  ServeUntilRemoval(peer);
  caller.join();
  EXPECT_EQ(ended(), 0);
}

TEST_F(KeeperResumeTest, AnotherProcessIsNotTakenForTheKeeper) {
  peer_.Leave();
  Peer stranger = Accept();
  stranger.pid = getpid();
  while (stranger.Receive().has_value()) {
  }
  Peer peer = Accept();
  std::thread caller(
      [this] { EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok()); });
  ServeUntilRemoval(peer);
  caller.join();
}

TEST_F(KeeperResumeTest, TheEndOfTheProcessEndsTheRetries) {
  listener_.reset();
  peer_.Leave();
  process_->Kill();
  EXPECT_TRUE(Await([this] { return ended_ == 1; }));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("c", Soon())));
}

TEST_F(KeeperResumeTest, WithoutAWayBackCallsFailUntilTheProcessEnds) {
  const Process process;
  Peer peer;
  const auto keeper = AdoptOne(process, peer, "");
  peer.Leave();
  const Deadline patience = Soon();
  while (keeper->CheckResponsive().ok() && !patience.passed()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(absl::IsUnavailable(keeper->RemoveContainer("c", Soon())));
  EXPECT_EQ(ended(), 0);
}

TEST_F(KeeperResumeTest, AKeeperOfAnEarlierDaemonIsTakenUp) {
  auto resumed = Keeper::Resume(process_->identity(), Options(path_));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  std::thread caller(
      [&] { EXPECT_TRUE((*resumed)->RemoveContainer("c", Soon()).ok()); });
  Peer peer = Accept();
  const auto hello = peer.ReceiveAny();
  ASSERT_TRUE(hello.has_value() && hello->has_hello());
  // An older one: it knows no Hello.
  keeper::v1::FromKeeper unknown;
  unknown.mutable_reply()->set_id(hello->id());
  unknown.mutable_reply()->mutable_error()->set_code(
      static_cast<int>(absl::StatusCode::kUnimplemented));
  peer.Send(unknown);
  ServeUntilRemoval(peer);
  caller.join();
  EXPECT_TRUE(Await([this] { return described_.size() == 1; }));
  EXPECT_EQ(described_[0].pod_id(), "pod");
}

TEST_F(KeeperResumeTest, OnlyTheVeryProcessIsTakenUp) {
  KeeperIdentity other = process_->identity();
  --other.start_ticks;
  EXPECT_TRUE(absl::IsNotFound(Keeper::Resume(other, Options(path_)).status()));
  const KeeperIdentity gone = process_->identity();
  process_->Kill();
  EXPECT_TRUE(absl::IsNotFound(Keeper::Resume(gone, Options(path_)).status()));
}

TEST_F(KeeperResumeTest, TakingUpAStoppedKeeperDoesNotWait) {
  auto resumed = Keeper::Resume(process_->identity(), Options(path_));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  const absl::Status status = (*resumed)->RemoveContainer(
      "c", Deadline::After(absl::Milliseconds(200)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  const Deadline patience = Soon();
  while ((*resumed)->CheckResponsive().ok() && !patience.passed()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(absl::IsUnavailable((*resumed)->CheckResponsive()));
  // It goes on.
  Peer peer = Accept();
  std::thread served([&] { ServeUntilRemoval(peer); });
  while (!(*resumed)->CheckResponsive().ok() && !patience.passed()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE((*resumed)->RemoveContainer("c", Soon()).ok());
  served.join();
}

TEST_F(KeeperResumeTest, ListenReplacesALeftover) {
  listener_.reset();
  // A socket file that nobody listens at any more.
  EXPECT_TRUE(absl::IsUnavailable(ConnectToKeeper(path_).status()));
  const auto listener = Keeper::Listen(path_);
  ASSERT_TRUE(listener.ok()) << listener.status();
  struct stat facts = {};
  EXPECT_EQ(stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  EXPECT_TRUE(ConnectToKeeper(path_).ok());
}

TEST_F(KeeperResumeTest, AFullBacklogIsNotWaitedFor) {
  std::vector<UniqueFd> connected;
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    auto socket = ConnectToKeeper(path_);
    status = socket.status();
    if (socket.ok()) {
      connected.push_back(std::move(*socket));
    }
  }
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST(KeeperAddressTest, TooLongPathIsRefused) {
  const std::string path(200, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(Keeper::Listen(path).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ConnectToKeeper(path).status()));
}

}  // namespace
}  // namespace caisson::pod
