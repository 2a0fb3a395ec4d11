#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ContainerTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    auto pod = keeper_->CreatePod(PodPlan(), Soon());
    ASSERT_TRUE(pod.ok()) << pod.status();
    ASSERT_TRUE(pod->network.ok());
  }
};

TEST_F(ContainerTest, RootInsideIsNobodyOutside) {
  EXPECT_THAT(Run({"id"}), StartsWith("uid=0(root) gid=0"));
  EXPECT_THAT(Run({"cat", "/proc/self/uid_map"}),
              HasSubstr(absl::StrCat(first_id_)));
}

TEST_F(ContainerTest, HasAHostnameOfItsOwn) {
  EXPECT_EQ(Run({"hostname"}), "box\n");
}

TEST_F(ContainerTest, SeesOnlyItsOwnProcesses) {
  const std::string output =
      Run({"sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'"});
  EXPECT_THAT(output, StartsWith("1\n"));
}

TEST_F(ContainerTest, FilesItMakesBelongToItsRange) {
  EXPECT_EQ(Run({"sh", "-c", "echo hello > /tmp/file; stat -c %u /tmp/file"}),
            "0\n");
  const std::string owners = ShellOutput(
      absl::StrCat("stat -c %u ", directory_->path(), "/c0/upper/tmp/file"));
  EXPECT_EQ(owners, absl::StrCat(first_id_));
}

TEST_F(ContainerTest, ReportsTheExitCode) {
  auto created = keeper_->CreateContainer(
      ContainerPlan("c", {"sh", "-c", "exit 42"}), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  EXPECT_EQ(AwaitExit("c"), 42);
}

TEST_F(ContainerTest, AMissingProgramFailsTheStart) {
  auto created =
      keeper_->CreateContainer(ContainerPlan("c", {"no-such-program"}), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  auto started = keeper_->StartContainer("c", "", Soon());
  EXPECT_THAT(std::string(started.status().message()),
              HasSubstr("exec no-such-program"));
}

TEST_F(ContainerTest, HasOnlyItsStandardFiles) {
  EXPECT_EQ(Run({"sh", "-c", "ls /proc/self/fd"}), "0\n1\n2\n3\n");
}

TEST_F(ContainerTest, ExecRunsInTheContainer) {
  auto created =
      keeper_->CreateContainer(ContainerPlan("c", {"sleep", "1000"}), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  auto exec = keeper_->Exec(
      ExecPlan("e", "c", {"sh", "-c", "test $(hostname) = box && exit 7"}),
      Soon());
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_EQ(AwaitExit("e"), 7);
  ASSERT_TRUE(keeper_->SignalContainer("c", 9, Soon()).ok());
  EXPECT_EQ(AwaitExit("c"), 137);
}

TEST_F(ContainerTest, ContainersMayShareThePodsPids) {
  auto plan = ContainerPlan("a", {"sleep", "1000"});
  plan.message.set_pid_mode(keeper::v1::ContainerPlan::PID_POD);
  auto created = keeper_->CreateContainer(std::move(plan), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("a", "", Soon()).ok());
  auto second = ContainerPlan("b", {"sh", "-c", "ps | grep -q 'sleep 1000'"});
  second.message.set_pid_mode(keeper::v1::ContainerPlan::PID_POD);
  created = keeper_->CreateContainer(std::move(second), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("b", "", Soon()).ok());
  EXPECT_EQ(AwaitExit("b"), 0);
}

TEST_F(ContainerTest, RemovalKillsAll) {
  auto created = keeper_->CreateContainer(
      ContainerPlan("c", {"sh", "-c", "sleep 1000 & sleep 1000"}), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  ASSERT_TRUE(keeper_->RemoveContainer("c", Soon()).ok());
  EXPECT_THAT(ProcessesLeft(), IsEmpty());
}

TEST_F(ContainerTest, AVolumeOfAnImageWithoutLayersIsAnEmptyDirectory) {
  pod::WithFds<keeper::v1::ContainerPlan> plan =
      ContainerPlan("c", {"sh", "-c",
                          "ls -A /volume | wc -l; stat -c '%u %a' /volume;"
                          "touch /volume/x || ls /volume"});
  keeper::v1::Mount& volume = *plan.message.add_mounts();
  volume.set_kind(keeper::v1::Mount::IMAGE);
  volume.set_target("/volume");
  const auto created = keeper_->CreateContainer(std::move(plan), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  ASSERT_TRUE(keeper_->StartContainer("c", "", Soon()).ok());
  EXPECT_EQ(AwaitExit("c"), 0);
  EXPECT_THAT(LogText(), StartsWith("0\n0 755\n"));
  EXPECT_THAT(LogText(), HasSubstr("Read-only file system"));
}

}  // namespace
}  // namespace caisson::testing
