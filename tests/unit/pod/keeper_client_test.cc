#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/frame.h"
#include "tests/unit/pod/scripted_keeper.h"

namespace caisson::pod {
namespace {

using keeper::v1::FromKeeper;
using keeper::v1::Request;

using KeeperClientTest = ScriptedKeeperTest;

TEST_F(KeeperClientTest, RepliesFindTheirCallersInAnyOrder) {
  std::vector<std::thread> callers;
  for (const char* id : {"a", "b", "c"}) {
    callers.emplace_back([this, id] {
      const auto started = keeper_->StartContainer(id, "", Soon());
      ASSERT_TRUE(started.ok()) << started.status();
      EXPECT_EQ(started->started_at(), id[0]);
    });
  }
  std::vector<Request> requests;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(*peer_.Receive());
  }
  for (auto request = requests.rbegin(); request != requests.rend();
       ++request) {
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_container_started()->set_started_at(
        request->start_container().container_id()[0]);
    peer_.Send(message);
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
}

TEST_F(KeeperClientTest, PlansBringTheirFdsAndRepliesTheirs) {
  std::thread keeper([this] {
    std::vector<UniqueFd> fds;
    const auto request = peer_.Receive(&fds);
    ASSERT_TRUE(request.has_value() && request->has_create_pod());
    ASSERT_EQ(request->create_pod().listener_fd(), 1u);
    ASSERT_EQ(fds.size(), 1u);
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_pod_created()->set_network_fd(1);
    const int network[] = {fds[0].get()};
    peer_.Send(message, network);
  });
  WithFds<keeper::v1::PodPlan> plan;
  plan.message.set_listener_fd(
      plan.Attach(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))));
  const auto created = keeper_->CreatePod(std::move(plan), Soon());
  keeper.join();
  ASSERT_TRUE(created.ok()) << created.status();
  struct stat facts = {};
  ASSERT_EQ(fstat(created->network.get(), &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode));
}

TEST_F(KeeperClientTest, FdPositionBeyondTheFrameIsNoFd) {
  std::thread keeper([this] {
    const auto request = peer_.Receive();
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_pod_created()->set_network_fd(7);
    peer_.Send(message);
  });
  const auto created = keeper_->CreatePod({}, Soon());
  keeper.join();
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_FALSE(created->network.ok());
}

TEST_F(KeeperClientTest, APlanWithAnFdThatIsNoneFailsAlone) {
  WithFds<keeper::v1::PodPlan> plan;
  plan.message.set_listener_fd(plan.Attach(UniqueFd()));
  EXPECT_FALSE(keeper_->CreatePod(std::move(plan), Soon()).ok());
  std::thread keeper([this] { peer_.ReplyTo(*peer_.Receive()); });
  EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  keeper.join();
}

TEST_F(KeeperClientTest, ErrorsKeepCodeAndMessage) {
  std::thread keeper([this] {
    const auto request = peer_.Receive();
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    keeper::v1::Error& error = *message.mutable_reply()->mutable_error();
    error.set_code(static_cast<int>(absl::StatusCode::kNotFound));
    error.set_message("find container c: none");
    peer_.Send(message);
  });
  const absl::Status status = keeper_->SignalContainer("c", 9, Soon());
  keeper.join();
  EXPECT_EQ(status, absl::NotFoundError("find container c: none"));
}

TEST_F(KeeperClientTest, RepliesToNobodyAreIgnored) {
  FromKeeper message;
  message.mutable_reply()->set_id(12345);
  peer_.Send(message);
  std::thread keeper([this] { peer_.ReplyTo(*peer_.Receive()); });
  EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  keeper.join();
}

TEST_F(KeeperClientTest, ExitsAreReportedInOrder) {
  peer_.SendExited("one");
  peer_.SendExited("two");
  ASSERT_TRUE(Await([this] { return exited_.size() == 2; }));
  EXPECT_EQ(exited_, (std::vector<std::string>{"one", "two"}));
}

TEST_F(KeeperClientTest, EndOfTheProcessFailsWaitingAndLaterCalls) {
  std::thread keeper([this] {
    EXPECT_TRUE(peer_.Receive().has_value());
    process_->Kill();
  });
  EXPECT_TRUE(absl::IsUnavailable(keeper_->Describe(Soon()).status()));
  keeper.join();
  ASSERT_TRUE(Await([this] { return ended_ == 1; }));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("c", Soon())));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->CheckResponsive()));
  EXPECT_TRUE(keeper_->AwaitEnd(Deadline()).ok());
  peer_.Leave();
  EXPECT_EQ(ended(), 1);
}

// Children that are being set up have copies of the keeper's socket.
TEST_F(KeeperClientTest, TheProcessMayEndWhileItsSocketStaysOpen) {
  peer_.SendExited("last word");
  process_->Kill();
  ASSERT_TRUE(Await([this] { return ended_ == 1; }));
  EXPECT_EQ(exits(), 1);
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("c", Soon())));
  EXPECT_EQ(exits(), 1);
}

TEST_F(KeeperClientTest, ShutdownWaitsForTheEndOfTheProcess) {
  std::atomic<bool> left = false;
  std::thread keeper([&] {
    peer_.ReplyTo(*peer_.Receive());
    peer_.Leave();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
    process_->Kill();
  });
  EXPECT_TRUE(keeper_->Shutdown(Soon()).ok());
  EXPECT_TRUE(left);
  keeper.join();
}

TEST_F(KeeperClientTest, ShutdownEndsByItsDeadline) {
  std::thread keeper([&] { peer_.ReplyTo(*peer_.Receive()); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      keeper_->Shutdown(Deadline::After(absl::Milliseconds(200)))));
  keeper.join();
  EXPECT_EQ(ended(), 0);
  process_->Kill();
  EXPECT_TRUE(keeper_->Shutdown(Soon()).ok());
}

TEST_F(KeeperClientTest, KillEndsTheProcess) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper_->AwaitEnd(Deadline())));
  keeper_->Kill();
  EXPECT_TRUE(keeper_->AwaitEnd(Soon()).ok());
  ASSERT_TRUE(Await([this] { return ended_ == 1; }));
}

TEST_F(KeeperClientTest, HelloComesFirst) {
  const auto request = peer_.ReceiveAny();
  ASSERT_TRUE(request.has_value() && request->has_hello());
  EXPECT_EQ(request->hello().version(), kProtocolVersion);
}

// One reader thread serves all keepers: the unfinished frame of one must not
// keep another's from being read.
TEST_F(KeeperClientTest, StalledKeeperHoldsUpNoOther) {
  const Process process;
  Peer stalled;
  const auto other = AdoptOne(process, stalled, "");
  stalled.SendRaw(std::string("\x64\x00\x00\x00half", 8));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  peer_.SendExited("one");
  EXPECT_TRUE(Await([this] { return exited_.size() == 1; }));
}

TEST_F(KeeperClientTest, NoEventIsPostedAfterDestruction) {
  const Process process;
  for (int round = 0; round < 300; ++round) {
    auto [ours, theirs] = SocketPair();
    auto alive = std::make_shared<std::atomic<bool>>(true);
    KeeperFactory::NewKeeper fresh;
    fresh.socket = std::move(ours);
    fresh.pidfd = process.pidfd();
    fresh.identity = process.identity();
    Keeper::Options options;
    options.post = [alive](const std::function<void()>&) {
      EXPECT_TRUE(*alive);
    };
    auto keeper = Keeper::Adopt(std::move(fresh), std::move(options));
    std::thread sender([round, socket = std::move(theirs)]() mutable {
      FromKeeper message;
      message.mutable_exited()->set_id("x");
      const std::string bytes = message.SerializeAsString();
      for (int i = 0; i < round % 7; ++i) {
        (void)SendFrame(socket.get(), bytes, {});
      }
      socket.reset();
    });
    keeper.reset();
    *alive = false;
    sender.join();
  }
  // The hub still serves.
  peer_.SendExited("one");
  EXPECT_TRUE(Await([this] { return exited_.size() == 1; }));
}

}  // namespace
}  // namespace caisson::pod
