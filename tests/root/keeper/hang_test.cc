#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using keeper::v1::ContainerDescription;

Deadline In(int milliseconds) {
  return Deadline::After(absl::Milliseconds(milliseconds));
}

// Waits in a step, as runtime/keeper/fault.h has it.
bool IsPaused(int pid) {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  const size_t at = status.find("SigBlk:\t");
  return at != std::string::npos &&
         (strtoull(status.c_str() + at + 8, nullptr, 16) &
          (1ULL << (SIGUSR1 - 1))) != 0;
}

// Children that are stopped on their way to the program, while the keeper has
// other things to do.
class HangTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    const auto pod = keeper_->CreatePod(PodPlan(), Soon());
    ASSERT_TRUE(pod.ok()) << pod.status();
    Start("c", keeper::v1::ContainerPlan::PID_CONTAINER);
  }

  void Start(const std::string& id,
             keeper::v1::ContainerPlan::PidMode pid_mode) {
    auto plan = ContainerPlan(id, {"sleep", "1000"});
    plan.message.set_pid_mode(pid_mode);
    const auto created = keeper_->CreateContainer(std::move(plan), Soon());
    ASSERT_TRUE(created.ok()) << created.status();
    ASSERT_TRUE(keeper_->StartContainer(id, "", Soon()).ok());
  }

  // Runs `call` on a thread; returns the process that waits after `step` then.
  template <typename Call>
  int Pause(const std::string& step, std::thread& thread, Call call) {
    EXPECT_TRUE(keeper_->PauseAfter(step, Soon()).ok());
    thread = std::thread(call);
    const Deadline patience = Soon();
    int paused = 0;
    while (paused == 0 && !patience.passed()) {
      for (const int pid : ProcessesLeft()) {
        paused = IsPaused(pid) ? pid : paused;
      }
    }
    EXPECT_GT(paused, 0) << "nothing pauses after " << step;
    EXPECT_TRUE(keeper_->PauseAfter("", In(5000)).ok());
    return paused;
  }

  // All that a keeper does, each quickly.
  void ExpectServes(const std::string& prefix) {
    EXPECT_TRUE(keeper_->Describe(In(2000)).ok());
    const std::string id = prefix + "-other";
    auto created =
        keeper_->CreateContainer(ContainerPlan(id, {"true"}), In(5000));
    EXPECT_TRUE(created.ok()) << created.status();
    auto started = keeper_->StartContainer(id, "", In(5000));
    EXPECT_TRUE(started.ok()) << started.status();
    EXPECT_EQ(AwaitExit(id), 0);
    EXPECT_TRUE(keeper_->RemoveContainer(id, In(5000)).ok());
    auto exec = keeper_->Exec(
        ExecPlan(prefix + "-exec", "c", {"sh", "-c", "exit 5"}), In(5000));
    EXPECT_TRUE(exec.ok()) << exec.status();
    EXPECT_EQ(AwaitExit(prefix + "-exec"), 5);
  }

  // By now, or soon: init, stages and all.
  void ExpectKeeperHasOnly(size_t children) {
    const Deadline patience = Soon();
    std::string pids;
    do {
      pids = ShellOutput(absl::StrCat("pgrep -P ", keeper_pid_, " | wc -l"));
    } while (pids != absl::StrCat(children) && !patience.passed());
    EXPECT_EQ(pids, absl::StrCat(children));
  }
};

TEST_F(HangTest, AnExecThatIsStoppedWhileItJoinsHoldsUpNothing) {
  for (const std::string step :
       {"set-rlimits", "become-init", "attach-stdio"}) {
    SCOPED_TRACE(step);
    absl::Status status;
    std::thread call;
    const int pid = Pause(step, call, [&] {
      status =
          keeper_->Exec(ExecPlan("e-" + step, "c", {"true"}), Soon()).status();
    });
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    ExpectServes(step);
    const auto now = keeper_->Describe(Soon());
    ASSERT_TRUE(now.ok()) << now.status();
    ASSERT_EQ(now->pod.execs_size(), 1);
    EXPECT_EQ(now->pod.execs(0).exec_id(), "e-" + step);
    EXPECT_EQ(now->pod.execs(0).container_id(), "c");
    EXPECT_EQ(now->pod.execs(0).pid(), 0);
    // As its cgroup would be.
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    call.join();
    // Once there is a process of its own nobody can tell whether it was the
    // program already.
    if (status.ok()) {
      EXPECT_EQ(AwaitExit("e-" + step), 137);
    }
    ExpectKeeperHasOnly(1);
  }
}

TEST_F(HangTest, AnExecOnItsWayEndsWithItsContainer) {
  Start("shared", keeper::v1::ContainerPlan::PID_POD);
  for (const std::string step : {"set-rlimits", "become-init"}) {
    for (const std::string container : {"c", "shared"}) {
      SCOPED_TRACE(step + " " + container);
      absl::Status status;
      std::thread call;
      const std::string id = absl::StrCat("e-", step, container);
      const int pid = Pause(step, call, [&] {
        status =
            keeper_->Exec(ExecPlan(id, container, {"true"}), Soon()).status();
      });
      ASSERT_EQ(kill(pid, SIGSTOP), 0);
      ASSERT_TRUE(keeper_->RemoveContainer(container, In(10000)).ok());
      call.join();
      if (status.ok()) {
        EXPECT_EQ(AwaitExit(id), 137);
      }
      Start(container, container == "c"
                           ? keeper::v1::ContainerPlan::PID_CONTAINER
                           : keeper::v1::ContainerPlan::PID_POD);
    }
  }
  // Two containers and the init of the shared pids.
  ExpectKeeperHasOnly(3);
}

TEST_F(HangTest, ACreateThatHangsIsSeenAndRemoved) {
  for (const std::string step : {"mount-root", "become-init", "pivot-root"}) {
    SCOPED_TRACE(step);
    const std::string id = "hung-" + step;
    absl::Status status;
    std::thread call;
    const int pid = Pause(step, call, [&] {
      status = keeper_->CreateContainer(ContainerPlan(id, {"true"}), Soon())
                   .status();
    });
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    ExpectServes(step);
    const auto now = keeper_->Describe(Soon());
    ASSERT_TRUE(now.ok()) << now.status();
    int creating = 0;
    for (const ContainerDescription& each : now->pod.containers()) {
      creating += each.container_id() == id &&
                  each.state() == ContainerDescription::CREATING;
    }
    EXPECT_EQ(creating, 1);
    EXPECT_TRUE(absl::IsFailedPrecondition(
        keeper_->SignalContainer(id, SIGTERM, Soon())));
    EXPECT_TRUE(absl::IsFailedPrecondition(
        keeper_->StartContainer(id, "", Soon()).status()));
    EXPECT_TRUE(absl::IsAlreadyExists(
        keeper_->CreateContainer(ContainerPlan(id, {"true"}), Soon())
            .status()));
    EXPECT_TRUE(keeper_->RemoveContainer(id, In(10000)).ok());
    call.join();
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    ExpectKeeperHasOnly(1);
    const auto again =
        keeper_->CreateContainer(ContainerPlan(id, {"true"}), Soon());
    EXPECT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(keeper_->RemoveContainer(id, Soon()).ok());
  }
}

TEST_F(HangTest, AnInitThatStopsBeforeItsProgramHoldsUpNothing) {
  ASSERT_TRUE(keeper_->PauseAfter("await-start", Soon()).ok());
  ASSERT_TRUE(
      keeper_->CreateContainer(ContainerPlan("late", {"true"}), Soon()).ok());
  ASSERT_TRUE(keeper_->PauseAfter("", Soon()).ok());
  absl::Status status;
  std::thread call(
      [&] { status = keeper_->StartContainer("late", "", Soon()).status(); });
  ExpectServes("start");
  // One start at a time.
  const Deadline patience = Soon();
  absl::Status second;
  do {
    second = keeper_->StartContainer("late", "", In(300)).status();
  } while (absl::IsDeadlineExceeded(second) && !patience.passed());
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_TRUE(keeper_->RemoveContainer("late", In(10000)).ok());
  call.join();
  ExpectKeeperHasOnly(1);
}

TEST_F(HangTest, ShutdownEndsWhatIsOnItsWay) {
  absl::Status create;
  std::thread creating;
  const int first = Pause("mount-root", creating, [&] {
    create = keeper_->CreateContainer(ContainerPlan("hung", {"true"}), Soon())
                 .status();
  });
  ASSERT_EQ(kill(first, SIGSTOP), 0);
  EXPECT_TRUE(keeper_->Shutdown(In(15000)).ok());
  creating.join();
  EXPECT_FALSE(create.ok());
  EXPECT_THAT(ProcessesLeft(), IsEmpty());
  keeper_.reset();
}

TEST_F(HangTest, AStoppedKeeperKeepsNoCallBeyondItsDeadline) {
  ASSERT_EQ(kill(keeper_pid_, SIGSTOP), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper_->Describe(In(300)).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      keeper_->Exec(ExecPlan("stale", "c", {"true"}), In(300)).status()));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->RemoveContainer("x", Soon())));
  EXPECT_TRUE(absl::IsUnavailable(keeper_->CheckResponsive()));
  ASSERT_EQ(kill(keeper_pid_, SIGCONT), 0);
  const Deadline patience = Soon();
  while (!keeper_->CheckResponsive().ok() && !patience.passed()) {
    std::this_thread::yield();
  }
  ExpectServes("after");
  // What nobody waited for any more was not begun.
  const auto now = keeper_->Describe(Soon());
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_EQ(now->pod.execs_size(), 0);
  EXPECT_FALSE(HasExited("stale"));
}

}  // namespace
}  // namespace caisson::testing
