#include "tests/unit/pod/scripted_keeper.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel/process.h"
#include "runtime/pod/keeper_process.h"

namespace caisson::pod {

using keeper::v1::FromKeeper;
using keeper::v1::Request;

std::optional<Request> Peer::ReceiveAny(std::vector<UniqueFd>* fds) {
  absl::StatusOr<Frame> frame = ReceiveFrame(socket_.get(), Soon());
  Request request;
  if (!frame.ok() || !request.ParseFromString(frame->bytes)) {
    return std::nullopt;
  }
  if (fds != nullptr) {
    *fds = std::move(frame->fds);
  }
  return request;
}

std::optional<Request> Peer::Receive(std::vector<UniqueFd>* fds) {
  for (;;) {
    std::optional<Request> request = ReceiveAny(fds);
    if (!request.has_value() || !request->has_hello()) {
      return request;
    }
    FromKeeper message;
    message.mutable_reply()->set_id(request->id());
    message.mutable_reply()->mutable_welcome()->set_version(
        request->hello().version());
    message.mutable_reply()->mutable_welcome()->set_pid(pid);
    Send(message);
  }
}

void Peer::Send(const FromKeeper& message, absl::Span<const int> fds) {
  EXPECT_TRUE(
      SendFrame(socket_.get(), message.SerializeAsString(), fds, Soon()).ok());
}

void Peer::ReplyTo(const Request& request) {
  FromKeeper message;
  message.mutable_reply()->set_id(request.id());
  if (request.has_describe()) {
    message.mutable_reply()->mutable_description()->set_pod_id("pod");
  }
  Send(message);
}

void Peer::SendExited(const std::string& id) {
  FromKeeper message;
  message.mutable_exited()->set_id(id);
  Send(message);
}

void Peer::SendRaw(const std::string& bytes) {
  EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
}

Process::Process() {
  kernel::ForkOptions options;
  options.exit_signal = SIGCHLD;
  absl::StatusOr<kernel::Forked> forked = kernel::Fork(options);
  EXPECT_TRUE(forked.ok());
  if (forked->pid == 0) {
    close_range(3, ~0U, 0);
    for (;;) {
      pause();
    }
  }
  pid_ = forked->pid;
  pidfd_ = std::move(forked->pidfd);
  const auto identity = IdentifyProcess(pidfd_.get(), pid_);
  EXPECT_TRUE(identity.ok()) << identity.status();
  identity_ = *identity;
}

Process::~Process() {
  Kill();
}

void Process::Kill() {
  if (pidfd_.ok()) {
    EXPECT_TRUE(kernel::SignalProcess(pidfd_.get(), SIGKILL).ok());
    EXPECT_TRUE(kernel::Reap(pidfd_.get(), true).ok());
    pidfd_.reset();
  }
}

UniqueFd Process::pidfd() const {
  return UniqueFd(fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0));
}

std::pair<UniqueFd, UniqueFd> ScriptedKeeperTest::SocketPair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void ScriptedKeeperTest::SetUp() {
  char directory[] = "/tmp/caisson-pod-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  directory_ = directory;
  process_ = std::make_unique<Process>();
  keeper_ = AdoptOne(*process_, peer_, directory_ + "/keeper.sock");
}

void ScriptedKeeperTest::TearDown() {
  keeper_.reset();
  unlink((directory_ + "/keeper.sock").c_str());
  rmdir(directory_.c_str());
}

Keeper::Options ScriptedKeeperTest::Options(const std::string& socket_path) {
  Keeper::Options options;
  options.socket_path = socket_path;
  options.post = [this](std::function<void()> task) {
    pool_.Post(std::move(task));
  };
  options.events.exited = [this](const keeper::v1::Exited& exited) {
    const MutexLock lock(mutex_);
    exited_.push_back(exited.id());
    changed_.NotifyAll();
  };
  options.events.described = [this](const keeper::v1::PodDescription& now) {
    const MutexLock lock(mutex_);
    described_.push_back(now);
    changed_.NotifyAll();
  };
  options.events.ended = [this] {
    const MutexLock lock(mutex_);
    ++ended_;
    changed_.NotifyAll();
  };
  return options;
}

std::unique_ptr<Keeper> ScriptedKeeperTest::AdoptOne(
    const Process& process, Peer& peer, const std::string& socket_path) {
  auto [ours, theirs] = SocketPair();
  peer = Peer(std::move(theirs));
  peer.pid = process.pid();
  KeeperFactory::NewKeeper fresh;
  fresh.socket = std::move(ours);
  fresh.pidfd = process.pidfd();
  fresh.identity = process.identity();
  return Keeper::Adopt(std::move(fresh), Options(socket_path));
}

bool ScriptedKeeperTest::Await(const std::function<bool()>& condition) {
  const Deadline deadline = Soon();
  const MutexLock lock(mutex_);
  while (!condition()) {
    if (deadline.passed()) {
      return false;
    }
    changed_.WaitUntil(mutex_, deadline);
  }
  return true;
}

}  // namespace caisson::pod
