#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/identity/capabilities.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A container with every capability there is, in its own user namespace, and
// no seccomp filter.
class IsolationTest : public KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  }

  pod::WithFds<keeper::v1::ContainerPlan> Powerful(
      const std::string& id, const std::vector<std::string>& argv) {
    auto plan = ContainerPlan(id, argv);
    keeper::v1::Capabilities& capabilities =
        *plan.message.mutable_process()->mutable_capabilities();
    const uint64_t all = identity::AllCapabilities();
    capabilities.set_bounding(all);
    capabilities.set_permitted(all);
    capabilities.set_effective(all);
    return plan;
  }

  std::string RunPlan(const std::string& id,
                      pod::WithFds<keeper::v1::ContainerPlan> plan) {
    const size_t before = LogText().size();
    auto created = keeper_->CreateContainer(std::move(plan), Soon());
    EXPECT_TRUE(created.ok()) << created.status();
    if (created.ok()) {
      auto started = keeper_->StartContainer(id, "", Soon());
      EXPECT_TRUE(started.ok()) << started.status();
      AwaitExit(id);
    }
    return LogText().substr(before);
  }
};

TEST_F(IsolationTest, MountFlagsAndVolumesAreLocked) {
  const std::string volume = directory_->path() + "/volume";
  ASSERT_EQ(mkdir(volume.c_str(), 0755), 0);
  auto plan = Powerful("c", {"sh", "-c",
                             "mount -o remount,bind,rw /vol 2>&1; "
                             "mount -o remount,bind,ro,suid /vol 2>&1; "
                             "mount -o remount,bind,ro,nosuid,dev /vol 2>&1; "
                             "umount /vol 2>&1; umount /dev/null 2>&1; "
                             "mount -o remount,bind,dev / 2>&1; "
                             "touch /vol/file 2>&1; echo end"});
  keeper::v1::Mount& mount = *plan.message.add_mounts();
  mount.set_source(volume);
  mount.set_target("/vol");
  mount.set_read_only(true);
  mount.set_nosuid(true);
  mount.set_nodev(true);
  mount.set_id_mapping(keeper::v1::Mount::MAPPED);
  const std::string output = RunPlan("c", std::move(plan));
  EXPECT_THAT(output, HasSubstr("end"));
  // Six attempts, six refusals; the seventh is the proof.
  size_t refusals = 0;
  for (size_t at = output.find("ermission denied"); at != std::string::npos;
       at = output.find("ermission denied", at + 1)) {
    ++refusals;
  }
  for (size_t at = output.find("nvalid argument"); at != std::string::npos;
       at = output.find("nvalid argument", at + 1)) {
    ++refusals;
  }
  EXPECT_EQ(refusals, 6u) << output;
  EXPECT_THAT(output, HasSubstr("Read-only file system"));
}

TEST_F(IsolationTest, AMappedVolumeKeepsItsOwners) {
  const std::string volume = directory_->path() + "/volume";
  ASSERT_EQ(Shell(absl::StrCat("mkdir ", volume, " && echo x > ", volume,
                               "/of-root && chown 1000:1000 ", volume)),
            0);
  auto plan = ContainerPlan(
      "c", {"sh", "-c", "stat -c %u:%g /vol /vol/of-root; touch /vol/new"});
  keeper::v1::Mount& mount = *plan.message.add_mounts();
  mount.set_source(volume);
  mount.set_target("/vol");
  mount.set_id_mapping(keeper::v1::Mount::MAPPED);
  EXPECT_EQ(RunPlan("c", std::move(plan)), "1000:1000\n0:0\n");
  EXPECT_EQ(ShellOutput(absl::StrCat("stat -c %u:%g ", volume, "/new")), "0:0");
}

TEST_F(IsolationTest, AVolumeThatCannotBeMappedIsRefused) {
  auto plan = ContainerPlan("c", {"true"});
  keeper::v1::Mount& mount = *plan.message.add_mounts();
  mount.set_source("/proc/sys");
  mount.set_target("/vol");
  mount.set_id_mapping(keeper::v1::Mount::MAPPED);
  auto created = keeper_->CreateContainer(std::move(plan), Soon());
  EXPECT_EQ(created.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(created.status().message()),
              HasSubstr("take-sources: /vol: map ids of /proc/sys"));
}

TEST_F(IsolationTest, NothingOfTheHostIsMountedOrInheritedInside) {
  const std::string output = RunPlan(
      "c", Powerful("c", {"sh", "-c",
                          "cat /proc/self/mountinfo; ls -l /proc/self/fd; "
                          "cat /proc/self/environ"}));
  EXPECT_THAT(output, Not(HasSubstr(directory_->path())));
  EXPECT_THAT(output, Not(HasSubstr("/var/lib")));
  EXPECT_THAT(output, Not(HasSubstr("socket:")));
  EXPECT_THAT(output, HasSubstr("PATH=/bin"));
  EXPECT_THAT(output, Not(HasSubstr("HOME=")));
}

TEST_F(IsolationTest, HidesWhatThePlanHides) {
  auto plan = ContainerPlan(
      "c", {"sh", "-c",
            "cat /proc/timer_list | wc -c; ls /proc/acpi | wc -l; "
            "echo x > /proc/sys/kernel/shmmax; echo $?"});
  plan.message.add_masked_paths("/proc/timer_list");
  plan.message.add_masked_paths("/proc/acpi");
  plan.message.add_masked_paths("/proc/no-such-file");
  plan.message.add_read_only_paths("/proc/sys");
  const std::string output = RunPlan("c", std::move(plan));
  EXPECT_THAT(output, HasSubstr("0\n0\n"));
  EXPECT_THAT(output, HasSubstr("Read-only file system"));
}

TEST_F(IsolationTest, IdsBeyondTheRangeWork) {
  // A second pod, whose map has extents of one id.
  ASSERT_TRUE(keeper_->Shutdown(Soon()).ok());
  StartKeeper();
  auto pod = PodPlan();
  const uint32_t wanted[] = {70000, 1000650000};
  uint32_t host = first_id_ + 65536;
  for (const uint32_t id : wanted) {
    for (auto* map : {pod.message.mutable_uids(), pod.message.mutable_gids()}) {
      keeper::v1::IdExtent& extent = *map->Add();
      extent.set_container_id(id);
      extent.set_host_id(host);
      extent.set_length(1);
    }
    ++host;
  }
  auto created = keeper_->CreatePod(std::move(pod), Soon());
  ASSERT_TRUE(created.ok()) << created.status();
  auto plan = ContainerPlan("c", {"id"});
  keeper::v1::Process& process = *plan.message.mutable_process();
  process.set_uid(1000650000);
  process.clear_groups();
  process.add_groups(0);
  process.add_groups(70000);
  process.mutable_capabilities()->set_permitted(0);
  process.mutable_capabilities()->set_effective(0);
  const std::string output = RunPlan("c", std::move(plan));
  EXPECT_THAT(output, HasSubstr("uid=1000650000 gid=0"));
  EXPECT_THAT(output, HasSubstr("70000"));
}

}  // namespace
}  // namespace caisson::testing
