#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "runtime/base/unique_fd.h"
#include "tests/cri/fixture/life_fixture.h"

// The CRI's socket has one daemon at a time.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SocketTest : public LifeTest {
 protected:
  ino_t Inode() const {
    struct stat facts = {};
    return lstat(daemon_->SocketPath().c_str(), &facts) == 0 ? facts.st_ino : 0;
  }
};

TEST_F(SocketTest, ASecondDaemonLeavesTheFirstsAlone) {
  const std::string container = Container(Pod("pod"), "app");
  const ino_t socket = Inode();
  std::string output;
  const int code = daemon_->RunSecond(&output);
  EXPECT_EQ(code, 1) << output;
  EXPECT_THAT(output, AllOf(HasSubstr(daemon_->SocketPath()),
                            HasSubstr("another daemon")));
  EXPECT_EQ(Inode(), socket);
  EXPECT_EQ(Output(container, {"echo", "well"}), "well\n");
  // Nor are its pods touched.
  CriClient fresh(daemon_->SocketPath());
  std::vector<cri::PodSandbox> pods;
  ASSERT_TRUE(fresh.Pods(&pods).ok());
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_EQ(pods[0].state(), cri::SANDBOX_READY);
}

TEST_F(SocketTest, WhatAKilledDaemonLeftIsReplaced) {
  const ino_t before = Inode();
  daemon_->Kill();
  EXPECT_EQ(Inode(), before);
  EXPECT_NE(daemon_->Start(), absl::InfiniteDuration()) << daemon_->LogTail();
  CriClient fresh(daemon_->SocketPath());
  std::vector<cri::PodSandbox> pods;
  EXPECT_TRUE(fresh.Pods(&pods).ok());
}

// Who comes while one is ending waits for it or is refused, and then has the
// place: the end of the first takes nothing of its.
TEST_F(SocketTest, TheEndOfOneLeavesItsSuccessorsAlone) {
  for (int round = 0; round < 5; ++round) {
    const DaemonProcess first = *daemon_;
    kill(first.pid(), SIGTERM);
    absl::Duration took = daemon_->Start();
    ASSERT_TRUE(Await([&] { return !first.IsRunning(); }));
    // It came too early.
    if (took == absl::InfiniteDuration() || !daemon_->IsRunning()) {
      took = daemon_->Start();
    }
    ASSERT_NE(took, absl::InfiniteDuration()) << daemon_->LogTail();
    EXPECT_NE(Inode(), 0u);
    CriClient fresh(daemon_->SocketPath());
    std::vector<cri::PodSandbox> pods;
    EXPECT_TRUE(fresh.Pods(&pods).ok());
  }
}

// What stands in the place by then is not the daemon's, be it a socket.
TEST_F(SocketTest, TheEndLeavesWhatAnotherPutThere) {
  const std::string path = daemon_->SocketPath();
  fs::remove(path);
  const UniqueFd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0)
      << strerror(errno);
  const ino_t inode = Inode();
  daemon_->Terminate();
  EXPECT_EQ(Inode(), inode);
  EXPECT_NE(daemon_->Start(), absl::InfiniteDuration()) << daemon_->LogTail();
}

TEST_F(SocketTest, IsRoots) {
  struct stat facts = {};
  ASSERT_EQ(lstat(daemon_->SocketPath().c_str(), &facts), 0);
  EXPECT_TRUE(S_ISSOCK(facts.st_mode));
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_EQ(facts.st_uid, 0u);
}

}  // namespace
}  // namespace caisson::cri_test
