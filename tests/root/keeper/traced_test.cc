#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel/process_stat.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

constexpr int kStatUserTime = 14;
constexpr int kStatSystemTime = 15;

// Processes that a tracer seized and never waits for: their pidfd is readable,
// and they can't be reaped.  This thread is the tracer.
class TracedTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    const auto pod = keeper_->CreatePod(PodPlan(), Soon());
    ASSERT_TRUE(pod.ok()) << pod.status();
    const auto created =
        keeper_->CreateContainer(ContainerPlan("c", {"sleep", "1000"}), Soon());
    ASSERT_TRUE(created.ok()) << created.status();
    container_pid_ = created->pid();
    ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  }

  static void Seize(int pid) {
    ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
  }

  // The tracer's end of it: then its parent may reap it.
  static void LetGo(int pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, __WALL), pid);
  }

  // Clock ticks of the keeper.
  uint64_t TimeOfKeeper() {
    const auto user = kernel::ReadProcessStat(keeper_pid_, kStatUserTime);
    const auto system = kernel::ReadProcessStat(keeper_pid_, kStatSystemTime);
    EXPECT_TRUE(user.ok() && system.ok());
    return *user + *system;
  }

  void ExpectKeeperIsIdle() {
    const uint64_t before = TimeOfKeeper();
    // No wait for anything: the time over which it is measured.
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    EXPECT_LE(TimeOfKeeper() - before,
              static_cast<uint64_t>(sysconf(_SC_CLK_TCK) / 10));
  }

  void ExpectReaped(int pid) {
    const Deadline patience = Soon();
    while (kill(pid, 0) == 0 && !patience.passed()) {
      std::this_thread::yield();
    }
    EXPECT_NE(kill(pid, 0), 0);
  }

  int container_pid_ = 0;
};

TEST_F(TracedTest, AnExecIsReportedWithItsCodeAndReapedLater) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd write_end(ends[1]);
  auto plan = ExecPlan("e", "c", {"sh", "-c", "cat; exit 7"});
  plan.message.set_stdin_fd(plan.Attach(UniqueFd(ends[0])));
  const auto exec = keeper_->Exec(std::move(plan), Soon());
  ASSERT_TRUE(exec.ok()) << exec.status();
  Seize(exec->pid());
  write_end.reset();
  // Its child's end stops the shell by SIGCHLD, as any signal does; it goes
  // on when told to.
  const Deadline patience = Soon();
  while (!HasExited("e") && !patience.passed()) {
    ptrace(PTRACE_CONT, exec->pid(), nullptr, nullptr);
    std::this_thread::yield();
  }
  EXPECT_EQ(AwaitExit("e"), 7);
  ExpectKeeperIsIdle();
  LetGo(exec->pid());
  ExpectReaped(exec->pid());
}

TEST_F(TracedTest, AKilledExecIsReported) {
  const auto exec =
      keeper_->Exec(ExecPlan("e", "c", {"sleep", "1000"}), Soon());
  ASSERT_TRUE(exec.ok()) << exec.status();
  Seize(exec->pid());
  ASSERT_EQ(kill(exec->pid(), SIGKILL), 0);
  EXPECT_EQ(AwaitExit("e"), 137);
  ExpectKeeperIsIdle();
  LetGo(exec->pid());
  ExpectReaped(exec->pid());
}

TEST_F(TracedTest, AContainerIsReportedAndRemoved) {
  Seize(container_pid_);
  ASSERT_TRUE(keeper_->SignalContainer("c", SIGKILL, Soon()).ok());
  EXPECT_EQ(AwaitExit("c"), 137);
  ExpectKeeperIsIdle();
  EXPECT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  ExpectKeeperIsIdle();
  LetGo(container_pid_);
  ExpectReaped(container_pid_);
}

TEST_F(TracedTest, APodEndsWhoseContainerIsHeld) {
  Seize(container_pid_);
  EXPECT_TRUE(keeper_->Shutdown(Soon()).ok());
  keeper_.reset();
  LetGo(container_pid_);
}

TEST_F(TracedTest, ASharedInitIsMadeAnewAfterItsEnd) {
  auto plan = ContainerPlan("a", {"sleep", "1000"});
  plan.message.set_pid_mode(keeper::v1::ContainerPlan::PID_POD);
  ASSERT_TRUE(keeper_->CreateContainer(std::move(plan), Soon()).ok());
  const std::string init =
      ShellOutput(absl::StrCat("pgrep -P ", keeper_pid_, " caisson-init"));
  const int pid = atoi(init.c_str());
  ASSERT_GT(pid, 0);
  Seize(pid);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_EQ(AwaitExit("a"), 137);
  ExpectKeeperIsIdle();
  // Not before the namespace's end is known.
  const Deadline patience = Soon();
  absl::Status status;
  do {
    auto next = ContainerPlan("b", {"true"});
    next.message.set_pid_mode(keeper::v1::ContainerPlan::PID_POD);
    status = keeper_->CreateContainer(std::move(next), Soon()).status();
  } while (!status.ok() && !patience.passed());
  EXPECT_TRUE(status.ok()) << status;
  LetGo(pid);
}

}  // namespace
}  // namespace caisson::testing
