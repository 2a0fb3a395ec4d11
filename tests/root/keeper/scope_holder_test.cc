#include <gmock/gmock.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/process.h"
#include "tests/support/await.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience(20);

// The process that PodPlan.hold_scope asks for.
class ScopeHolderTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    StartKeeper();
    pod::WithFds<keeper::v1::PodPlan> plan = PodPlan();
    plan.message.set_hold_scope(true);
    const auto made = keeper_->CreatePod(std::move(plan), Soon());
    ASSERT_TRUE(made.ok()) << made.status();
    holder_ = made->created.scope_holder_pid();
    ASSERT_GT(holder_, 0);
    holder_fd_ = Open(holder_);
    keeper_fd_ = Open(keeper_pid_);
  }

  static UniqueFd Open(int pid) {
    UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    EXPECT_TRUE(fd.ok());
    return fd;
  }

  // Waits for the end of a process that is not ours to reap.
  static void AwaitEnd(int pidfd) {
    pollfd end = {pidfd, POLLIN, 0};
    EXPECT_EQ(poll(&end, 1, std::chrono::milliseconds(kPatience).count()), 1);
  }

  int holder_ = 0;
  UniqueFd holder_fd_;
  UniqueFd keeper_fd_;
};

TEST_F(ScopeHolderTest, HasNothingAndGoesWithTheKeeper) {
  const std::string path = absl::StrCat("/proc/", holder_);
  // It is ready without a word, once it has no files.
  EXPECT_TRUE(Await(
      [&] { return ShellOutput(absl::StrCat("ls ", path, "/fd")).empty(); }));
  const std::string status = ReadFile(path + "/status");
  EXPECT_THAT(status, HasSubstr("Name:\tcaisson-scope"));
  EXPECT_THAT(status, HasSubstr(absl::StrCat("PPid:\t", keeper_pid_)));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_THAT(status, HasSubstr(absl::StrCat(set, ":\t0000000000000000")));
  }
  EXPECT_TRUE(keeper_->Shutdown(Soon()).ok());
  AwaitEnd(holder_fd_.get());
  keeper_.reset();
}

TEST_F(ScopeHolderTest, DiesWithTheKeeper) {
  EXPECT_TRUE(kernel::SignalProcess(keeper_fd_.get(), SIGKILL).ok());
  AwaitEnd(holder_fd_.get());
  keeper_.reset();
}

TEST_F(ScopeHolderTest, ThePodEndsWithIt) {
  const auto created =
      keeper_->CreateContainer(ContainerPlan("c", {"sleep", "1000"}), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(kernel::SignalProcess(holder_fd_.get(), SIGKILL).ok());
  AwaitEnd(keeper_fd_.get());
  EXPECT_THAT(ProcessesLeft(), ::testing::IsEmpty());
  keeper_.reset();
}

}  // namespace
}  // namespace caisson::testing
