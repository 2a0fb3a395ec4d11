#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/plan/good_requests.h"

// What CDI devices and volumes of images do to a plan.
namespace caisson::plan {
namespace {

using keeper::v1::Mount;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<ContainerDecision> PlanWith(const GoodContainer& good,
                                           const device::Edits& edits) {
  ContainerInputs inputs{good.config, good.pod, good.image, good.users,
                         good.daemon};
  inputs.own_users = good.own_users;
  inputs.pod_directory = "/run/caisson/pods/p1";
  inputs.edits = edits;
  return PlanContainer(inputs);
}

std::vector<const Mount*> MountsAt(const keeper::v1::ContainerPlan& plan,
                                   const std::string& target) {
  std::vector<const Mount*> found;
  for (const Mount& mount : plan.mounts()) {
    if (mount.target() == target) {
      found.push_back(&mount);
    }
  }
  return found;
}

TEST(CdiNamesTest, FieldsComeFirstAndEachNameOnce) {
  GoodContainer good;
  (*good.config.mutable_annotations())["cdi.k8s.io/b"] = "v.com/c=3";
  (*good.config.mutable_annotations())["cdi.k8s.io/a"] = "v.com/c=2,v.com/c=1";
  (*good.config.mutable_annotations())["other.io/a"] = "nothing";
  good.config.add_cdi_devices()->set_name("v.com/c=1");
  const auto names = CdiNames(good.config);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("v.com/c=1", "v.com/c=2", "v.com/c=3"));
}

TEST(CdiNamesTest, WhatIsNoNameIsRefused) {
  for (const char* value : {"", "gpu0", "v.com/c=1,", "v.com/c=1, v.com/c=2"}) {
    GoodContainer good;
    (*good.config.mutable_annotations())["cdi.k8s.io/a"] = value;
    const absl::Status status = CdiNames(good.config).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cdi.k8s.io/a"));
  }
}

TEST(CdiPlanTest, EditsStandInThePlaceOfWhatWasThere) {
  GoodContainer good;
  runtime::v1::KeyValue& env = *good.config.add_envs();
  env.set_key("A");
  env.set_value("pod");
  good.AddMount("/host/old", "/lib/x");
  runtime::v1::Device& old = *good.config.add_devices();
  old.set_host_path("/dev/old");
  old.set_container_path("/dev/x");
  old.set_permissions("rwm");
  device::Edits edits;
  edits.env = {"A=card", "B=x=y"};
  edits.groups = {44, 44};
  edits.mounts.push_back({"/host/new", "/lib/x"});
  edits.mounts[0].read_only = true;
  edits.nodes.push_back({"/dev/x", "/dev/new"});
  edits.nodes[0].permissions = "r";
  edits.hooks.resize(1);
  const auto decision = PlanWith(good, edits);
  ASSERT_TRUE(decision.ok()) << decision.status();
  const keeper::v1::ContainerPlan& plan = decision->plan;
  const std::vector<std::string> variables(plan.process().env().begin(),
                                           plan.process().env().end());
  EXPECT_THAT(variables, Contains("A=card"));
  EXPECT_THAT(variables, Contains("B=x=y"));
  EXPECT_THAT(variables, Not(Contains("A=pod")));
  EXPECT_EQ(std::count(plan.process().groups().begin(),
                       plan.process().groups().end(), 44u),
            1);
  // So that the pod's map is asked about it.
  EXPECT_THAT(decision->ids, Contains(44u));
  const std::vector<const Mount*> mounts = MountsAt(plan, "/lib/x");
  ASSERT_EQ(mounts.size(), 1u);
  EXPECT_EQ(mounts[0]->source(), "/host/new");
  EXPECT_TRUE(mounts[0]->read_only());
  EXPECT_TRUE(mounts[0]->nodev());  // the pod has ids of its own
  EXPECT_EQ(mounts[0]->id_mapping(), Mount::MAPPED);
  ASSERT_EQ(plan.devices_size(), 1);
  EXPECT_EQ(plan.devices(0).host_path(), "/dev/new");
  EXPECT_EQ(plan.devices(0).permissions(), "r");
  EXPECT_EQ(decision->hooks.size(), 1u);
}

TEST(CdiPlanTest, MountsOverTheKernelsFilesAreRefused) {
  device::Edits edits;
  edits.mounts.push_back({"/host", "/proc/sys"});
  EXPECT_EQ(PlanWith(GoodContainer(), edits).status().code(),
            absl::StatusCode::kInvalidArgument);
  device::Edits groups;
  groups.groups = {4294967294};
  EXPECT_EQ(PlanWith(GoodContainer(), groups).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// Targets of the plan's volumes of the image.
std::vector<std::string> Volumes(const GoodContainer& good,
                                 Mount::Kind kind = Mount::ROOT_PART) {
  std::vector<std::string> targets;
  const auto decision = good.Plan();
  EXPECT_TRUE(decision.ok()) << decision.status();
  if (decision.ok()) {
    for (const Mount& mount : decision->plan.mounts()) {
      if (mount.kind() == kind) {
        targets.push_back(mount.target());
      }
    }
  }
  return targets;
}

TEST(ImageVolumesTest, AreMountsBelowAReadOnlyRoot) {
  GoodContainer good;
  good.image.volumes = {"/data/", "/a//b/./c"};
  EXPECT_THAT(Volumes(good), ElementsAre());
  good.Security().set_readonly_rootfs(true);
  EXPECT_THAT(Volumes(good), ElementsAre("/data", "/a/b/c"));
  good.daemon.image.volumes = "ignore";
  EXPECT_THAT(Volumes(good), ElementsAre());
}

TEST(ImageVolumesTest, AreDirectoriesBelowAnyOther) {
  GoodContainer good;
  good.image.volumes = {"/data/",   "/data/sub", "/a/../b",
                        "relative", "/proc/x",   "/covered/sub"};
  good.AddMount("/host", "/covered");
  EXPECT_THAT(Volumes(good, Mount::ROOT_DIRECTORY),
              ElementsAre("/data", "/data/sub"));
}

TEST(ImageVolumesTest, WhatTheRequestMountsIsCovered) {
  GoodContainer good;
  good.Security().set_readonly_rootfs(true);
  good.image.volumes = {"/data/deep", "/database", "/log"};
  good.AddMount("/host", "/data");
  good.AddMount("/host", "/log");
  EXPECT_THAT(Volumes(good), ElementsAre("/database"));
}

// Nothing of the host is mounted while paths of the image are resolved.
TEST(ImageVolumesTest, ComeBeforeAllOtherMounts) {
  GoodContainer good;
  good.Security().set_readonly_rootfs(true);
  good.image.volumes = {"/a/b/c/d", "/x"};
  good.AddMount("/host", "/y");
  const auto decision = good.Plan();
  ASSERT_TRUE(decision.ok()) << decision.status();
  const auto& mounts = decision->plan.mounts();
  ASSERT_GT(mounts.size(), 3);
  EXPECT_EQ(mounts[0].target(), "/x");
  EXPECT_EQ(mounts[1].target(), "/a/b/c/d");
  EXPECT_EQ(mounts[2].target(), "/y");
}

TEST(ImageVolumesTest, OddPathsAreRefusedWithTheImage) {
  for (const char* path :
       {"", "data", "/..", "/a/../b", "/../../etc", "/", "//", "/proc",
        "/proc/sys", "/sys/fs/cgroup", "/dev/shm", "/a\nb"}) {
    GoodContainer good;
    good.config.mutable_image()->set_image("sha256:of-the-image");
    good.Security().set_readonly_rootfs(true);
    good.image.volumes = {path};
    const absl::Status status = good.Plan().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(std::string(status.message()), HasSubstr("sha256:of-the-image"))
        << path;
    good.Security().set_readonly_rootfs(false);
    EXPECT_TRUE(good.Plan().ok()) << path;
  }
}

}  // namespace
}  // namespace caisson::plan
