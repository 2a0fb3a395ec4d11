#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/pod/keeper.h"

namespace caisson::pod {
namespace {

using keeper::v1::FromKeeper;
using keeper::v1::Request;

// The keeper's side of a socket pair, driven by the test.
class Peer {
 public:
  explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

  std::optional<Request> Receive(std::vector<UniqueFd>* fds = nullptr) {
    absl::StatusOr<Frame> frame = ReceiveFrame(socket_.get());
    Request request;
    if (!frame.ok() || !request.ParseFromString(frame->bytes)) {
      return std::nullopt;
    }
    if (fds != nullptr) {
      *fds = std::move(frame->fds);
    }
    return request;
  }

  void Send(const FromKeeper& message, absl::Span<const int> fds = {}) {
    EXPECT_TRUE(
        SendFrame(socket_.get(), message.SerializeAsString(), fds).ok());
  }

  void ReplyTo(const Request& request) {
    FromKeeper message;
    message.mutable_reply()->set_id(request.id());
    Send(message);
  }

  void SendExited(const std::string& id) {
    FromKeeper message;
    message.mutable_exited()->set_id(id);
    Send(message);
  }

  void SendRaw(const std::string& bytes) {
    EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }

  void Leave() { socket_.reset(); }

 private:
  UniqueFd socket_;
};

class KeeperClientTest : public ::testing::Test {
 protected:
  static std::pair<UniqueFd, UniqueFd> SocketPair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }

  void SetUp() override {
    auto [ours, theirs] = SocketPair();
    peer_ = std::make_unique<Peer>(std::move(theirs));
    keeper_ = Keeper::Adopt(
        std::move(ours),
        [this](const keeper::v1::Exited& exited) {
          const std::lock_guard<std::mutex> lock(mutex_);
          exited_.push_back(exited.id());
          changed_.notify_all();
        },
        [this] {
          const std::lock_guard<std::mutex> lock(mutex_);
          ++gone_;
          changed_.notify_all();
        });
  }

  bool Await(const std::function<bool()>& condition) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), condition);
  }

  std::unique_ptr<Peer> peer_;
  std::unique_ptr<Keeper> keeper_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> exited_;
  int gone_ = 0;
};

TEST_F(KeeperClientTest, RepliesFindTheirCallersInAnyOrder) {
  std::vector<std::thread> callers;
  for (const char* id : {"a", "b", "c"}) {
    callers.emplace_back([this, id] {
      const auto started = keeper_->StartContainer(id);
      ASSERT_TRUE(started.ok()) << started.status();
      EXPECT_EQ(started->started_at(), id[0]);
    });
  }
  std::vector<Request> requests;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(*peer_->Receive());
  }
  for (auto request = requests.rbegin(); request != requests.rend();
       ++request) {
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_container_started()->set_started_at(
        request->start_container().container_id()[0]);
    peer_->Send(message);
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
}

TEST_F(KeeperClientTest, PlansBringTheirFdsAndRepliesTheirs) {
  std::thread keeper([this] {
    std::vector<UniqueFd> fds;
    const auto request = peer_->Receive(&fds);
    ASSERT_TRUE(request.has_value() && request->has_create_pod());
    ASSERT_EQ(request->create_pod().listener_fd(), 1u);
    ASSERT_EQ(fds.size(), 1u);
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_pod_created()->set_network_fd(1);
    const int network[] = {fds[0].get()};
    peer_->Send(message, network);
  });
  WithFds<keeper::v1::PodPlan> plan;
  plan.message.set_listener_fd(
      plan.Attach(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))));
  const auto created = keeper_->CreatePod(std::move(plan));
  keeper.join();
  ASSERT_TRUE(created.ok()) << created.status();
  struct stat facts = {};
  ASSERT_EQ(fstat(created->network.get(), &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode));
}

TEST_F(KeeperClientTest, FdPositionBeyondTheFrameIsNoFd) {
  std::thread keeper([this] {
    const auto request = peer_->Receive();
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_pod_created()->set_network_fd(7);
    peer_->Send(message);
  });
  const auto created = keeper_->CreatePod({});
  keeper.join();
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_FALSE(created->network.ok());
}

TEST_F(KeeperClientTest, ErrorsKeepCodeAndMessage) {
  std::thread keeper([this] {
    const auto request = peer_->Receive();
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    keeper::v1::Error& error = *message.mutable_reply()->mutable_error();
    error.set_code(static_cast<int>(absl::StatusCode::kNotFound));
    error.set_message("find container c: none");
    peer_->Send(message);
  });
  const absl::Status status = keeper_->SignalContainer("c", 9);
  keeper.join();
  EXPECT_EQ(status, absl::NotFoundError("find container c: none"));
}

TEST_F(KeeperClientTest, RepliesToNobodyAreIgnored) {
  FromKeeper message;
  message.mutable_reply()->set_id(12345);
  peer_->Send(message);
  std::thread keeper([this] { peer_->ReplyTo(*peer_->Receive()); });
  EXPECT_TRUE(keeper_->RemoveContainer("c").ok());
  keeper.join();
}

TEST_F(KeeperClientTest, ExitsAreReportedInOrder) {
  peer_->SendExited("one");
  peer_->SendExited("two");
  ASSERT_TRUE(Await([this] { return exited_.size() == 2; }));
  EXPECT_EQ(exited_, (std::vector<std::string>{"one", "two"}));
}

TEST_F(KeeperClientTest, EndOfTheKeeperFailsWaitingAndLaterCalls) {
  std::thread keeper([this] {
    EXPECT_TRUE(peer_->Receive().has_value());
    peer_->Leave();
  });
  EXPECT_TRUE(absl::IsUnavailable(keeper_->Describe().status()));
  keeper.join();
  ASSERT_TRUE(Await([this] { return gone_ == 1; }));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("c")));
  EXPECT_EQ(gone_, 1);
}

TEST_F(KeeperClientTest, NonsenseEndsTheConnection) {
  peer_->SendRaw(std::string("\xff\xff\xff\xff", 4));
  EXPECT_TRUE(Await([this] { return gone_ == 1; }));
}

TEST_F(KeeperClientTest, ShutdownWaitsForTheEnd) {
  std::atomic<bool> left = false;
  std::thread keeper([&] {
    peer_->ReplyTo(*peer_->Receive());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
    peer_->Leave();
  });
  EXPECT_TRUE(keeper_->Shutdown().ok());
  EXPECT_TRUE(left);
  keeper.join();
}

// One reader thread serves all keepers: the unfinished frame of one must not
// keep another's from being read.
TEST_F(KeeperClientTest, StalledKeeperHoldsUpNoOther) {
  auto [ours, theirs] = SocketPair();
  Peer stalled(std::move(theirs));
  const auto other = Keeper::Adopt(
      std::move(ours), [](const keeper::v1::Exited&) {}, [] {});
  stalled.SendRaw(std::string("\x64\x00\x00\x00half", 8));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  peer_->SendExited("one");
  EXPECT_TRUE(Await([this] { return exited_.size() == 1; }));
}

TEST_F(KeeperClientTest, DestructionIsSafeWhileEventsArrive) {
  for (int round = 0; round < 300; ++round) {
    auto [ours, theirs] = SocketPair();
    auto alive = std::make_shared<std::atomic<bool>>(true);
    auto keeper = Keeper::Adopt(
        std::move(ours),
        [alive](const keeper::v1::Exited&) { EXPECT_TRUE(*alive); },
        [alive] { EXPECT_TRUE(*alive); });
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
  peer_->SendExited("one");
  EXPECT_TRUE(Await([this] { return exited_.size() == 1; }));
}

TEST_F(KeeperClientTest, ListenReplacesALeftoverAndConnectFindsIt) {
  char directory[] = "/tmp/caisson-pod-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/keeper.sock");
  EXPECT_TRUE(absl::IsNotFound(Keeper::Connect(path).status()));
  ASSERT_TRUE(Keeper::Listen(path).ok());
  // A socket file that nobody listens at any more.
  EXPECT_TRUE(absl::IsNotFound(Keeper::Connect(path).status()));
  const auto listener = Keeper::Listen(path);
  ASSERT_TRUE(listener.ok()) << listener.status();
  struct stat facts = {};
  EXPECT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  const auto connected = Keeper::Connect(path);
  EXPECT_TRUE(connected.ok()) << connected.status();
  unlink(path.c_str());
  rmdir(directory);
}

TEST(KeeperAddressTest, TooLongPathIsRefused) {
  const std::string path(200, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(Keeper::Listen(path).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Keeper::Connect(path).status()));
}

}  // namespace
}  // namespace caisson::pod
