#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The steps of one table, from the program itself.
std::vector<std::string> Steps(const std::string& table) {
  const std::string all =
      ShellOutput(CAISSON_BIN_DIR "/caisson-keeper --list-steps");
  std::vector<std::string> steps;
  for (absl::string_view line : absl::StrSplit(all, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    if (parts.size() == 2 && parts[0] == table) {
      steps.push_back(parts[1]);
    }
  }
  return steps;
}

class FaultTest : public KeeperFixture {
 protected:
  std::string Mounts() { return ShellOutput("cat /proc/self/mountinfo"); }

  // With a hook of each kind that keepers run.
  pod::WithFds<keeper::v1::ContainerPlan> HookedPlan(const std::string& id) {
    auto plan = ContainerPlan(id, {"true"});
    mkdir((plan.message.home_directory() + "/rootfs").c_str(), 0700);
    keeper::v1::Hook& create = *plan.message.add_create_hooks();
    create.set_moment("createContainer");
    create.set_path("/bin/sh");
    for (const std::string& argument :
         {std::string("sh"), std::string("-c"),
          absl::StrCat("echo >", plan.message.home_directory(),
                       "/rootfs/by-hook")}) {
      create.add_arguments(argument);
    }
    create.set_timeout_seconds(60);
    keeper::v1::Hook& start = *plan.message.add_start_hooks();
    start.set_moment("startContainer");
    start.set_path("/bin/true");
    start.set_timeout_seconds(60);
    return plan;
  }

  // Children of the keeper and theirs.
  std::string KeeperChildren() {
    return ShellOutput(absl::StrCat("pgrep -P ", keeper_pid_));
  }
};

TEST_F(FaultTest, AFailedPodStepLeavesNothingAndTheRetrySucceeds) {
  const std::vector<std::string> steps = Steps("pod");
  ASSERT_GE(steps.size(), 6u);
  const std::string before = Mounts();
  for (const std::string& step : steps) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(keeper_->InjectFault(step, EIO, Soon()).ok());
    auto pod = keeper_->CreatePod(PodPlan(), Soon());
    EXPECT_THAT(std::string(pod.status().message()),
                HasSubstr(step + ": injected fault"));
    EXPECT_EQ(KeeperChildren(), "");
    EXPECT_EQ(Mounts(), before);
    pod = keeper_->CreatePod(PodPlan(), Soon());
    EXPECT_TRUE(pod.ok()) << pod.status();
    ASSERT_TRUE(keeper_->Shutdown(Soon()).ok());
    StartKeeper();
  }
}

TEST_F(FaultTest, AFailedContainerStepLeavesNothingAndTheRetrySucceeds) {
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  std::vector<std::string> steps = Steps("container");
  for (const std::string& step : Steps("init")) {
    steps.push_back(step);
    // Those after the report fail the start.
    if (step == "await-start") {
      break;
    }
  }
  ASSERT_GE(steps.size(), 30u);
  int number = 0;
  for (const std::string& step : steps) {
    SCOPED_TRACE(step);
    const std::string id = absl::StrCat("c", number++);
    ASSERT_TRUE(keeper_->InjectFault(step, EIO, Soon()).ok());
    auto created = keeper_->CreateContainer(HookedPlan(id), Soon());
    EXPECT_THAT(std::string(created.status().message()),
                HasSubstr(step + ": injected fault"));
    EXPECT_THAT(ProcessesLeft(), IsEmpty());
    EXPECT_EQ(KeeperChildren(), "");
    created = keeper_->CreateContainer(HookedPlan(id), Soon());
    ASSERT_TRUE(created.ok()) << created.status();
    ASSERT_TRUE(keeper_->StartContainer(id, "", Soon()).ok());
    EXPECT_EQ(AwaitExit(id), 0);
    ASSERT_TRUE(keeper_->RemoveContainer(id, Soon()).ok());
  }
}

TEST_F(FaultTest, AStepAfterTheReportFailsTheStartAndEndsTheContainer) {
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  for (const std::string step : {"run-start-hooks", "load-seccomp"}) {
    SCOPED_TRACE(step);
    const std::string failing = "c-" + step;
    const std::string next = "d-" + step;
    ASSERT_TRUE(keeper_->InjectFault(step, EIO, Soon()).ok());
    ASSERT_TRUE(keeper_->CreateContainer(HookedPlan(failing), Soon()).ok());
    const absl::Status started =
        keeper_->StartContainer(failing, "", Soon()).status();
    EXPECT_THAT(std::string(started.message()),
                HasSubstr(step + ": injected fault"));
    EXPECT_NE(AwaitExit(failing), 0);
    EXPECT_THAT(ProcessesLeft(), IsEmpty());
    EXPECT_TRUE(keeper_->RemoveContainer(failing, Soon()).ok());
    ASSERT_TRUE(keeper_->CreateContainer(HookedPlan(next), Soon()).ok());
    ASSERT_TRUE(keeper_->StartContainer(next, "", Soon()).ok());
    EXPECT_EQ(AwaitExit(next), 0);
    EXPECT_TRUE(keeper_->RemoveContainer(next, Soon()).ok());
  }
}

TEST_F(FaultTest, AContainerThatEndsBeforeItsStartSaysSo) {
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  ASSERT_TRUE(
      keeper_->CreateContainer(ContainerPlan("c", {"true"}), Soon()).ok());
  ASSERT_TRUE(keeper_->SignalContainer("c", SIGKILL, Soon()).ok());
  EXPECT_EQ(AwaitExit("c"), 137);
  EXPECT_THAT(
      std::string(keeper_->StartContainer("c", "", Soon()).status().message()),
      HasSubstr("it ended with exit code 137 before it was started"));
}

TEST_F(FaultTest, AFailedExecStepLeavesNothingAndTheRetrySucceeds) {
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  ASSERT_TRUE(
      keeper_->CreateContainer(ContainerPlan("c", {"sleep", "1000"}), Soon())
          .ok());
  ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  const size_t processes = ProcessesLeft().size();
  std::vector<std::string> steps = Steps("exec");
  for (const std::string& step : Steps("exec-child")) {
    steps.push_back(step);
  }
  ASSERT_GE(steps.size(), 15u);
  int number = 0;
  for (const std::string& step : steps) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(keeper_->InjectFault(step, EIO, Soon()).ok());
    auto exec = keeper_->Exec(
        ExecPlan(absl::StrCat("f", number), "c", {"true"}), Soon());
    EXPECT_THAT(std::string(exec.status().message()),
                HasSubstr(step + ": injected fault"));
    EXPECT_EQ(ProcessesLeft().size(), processes);
    const std::string id = absl::StrCat("e", number++);
    exec = keeper_->Exec(ExecPlan(id, "c", {"true"}), Soon());
    ASSERT_TRUE(exec.ok()) << exec.status();
    EXPECT_EQ(AwaitExit(id), 0);
  }
}

}  // namespace
}  // namespace caisson::testing
