#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "shim/plan/container.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
namespace cri = ::runtime::v1;
using keeper::v1::Mount;

// "source -> target flags".
std::vector<std::string> Lines(const keeper::v1::ContainerPlan& plan) {
  std::vector<std::string> lines;
  for (const Mount& mount : plan.mounts()) {
    std::string line = mount.kind() == Mount::SHM ? "shm" : mount.source();
    line += " -> " + mount.target();
    line += mount.read_only() ? " ro" : "";
    line += mount.recursive_read_only() ? " rro" : "";
    line += mount.nosuid() ? " nosuid" : "";
    line += mount.nodev() ? " nodev" : "";
    line += mount.noexec() ? " noexec" : "";
    line += mount.recursive() ? " rec" : "";
    line += mount.id_mapping() == Mount::MAPPED ? " mapped" : "";
    line += mount.propagation() == Mount::HOST_TO_CONTAINER ? " slave" : "";
    line += mount.propagation() == Mount::BIDIRECTIONAL ? " shared" : "";
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> PlanLines(const GoodContainer& it) {
  const absl::StatusOr<ContainerDecision> decision = it.Plan();
  EXPECT_TRUE(decision.ok()) << decision.status();
  return decision.ok() ? Lines(decision->plan) : std::vector<std::string>();
}

TEST(MountsTest, EveryContainerHasThreeFilesAndSharedMemory) {
  GoodContainer it;
  EXPECT_THAT(
      PlanLines(it),
      ElementsAre(
          "/run/caisson/pods/p1/resolv.conf -> /etc/resolv.conf nosuid nodev "
          "mapped",
          "/run/caisson/pods/p1/hostname -> /etc/hostname nosuid nodev mapped",
          "/run/caisson/pods/p1/hosts -> /etc/hosts nosuid nodev mapped",
          "shm -> /dev/shm nosuid nodev noexec"));
}

// What is mounted below it would come up on the host.
TEST(MountsTest, NoneOfThoseStandsBelowAVolumeThatIsShared) {
  for (const char* target : {"/etc", "/dev", "/etc/"}) {
    GoodContainer it;
    it.AddMount("/host", target)
        .set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
    for (const std::string& line : PlanLines(it)) {
      EXPECT_TRUE(absl::StartsWith(line, "/host -> ") ||
                  !absl::StrContains(line, std::string(target).substr(0, 4)))
          << line;
    }
    GoodContainer apart;
    apart.AddMount("/host", target);
    EXPECT_EQ(PlanLines(apart).size(), 5u);
  }
}

TEST(MountsTest, SharedMemoryIsTheHostsWithItsIpc) {
  GoodContainer it;
  it.own_users = false;
  it.pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_ipc(cri::NODE);
  EXPECT_THAT(PlanLines(it),
              Contains("/dev/shm -> /dev/shm nosuid nodev noexec"));
}

TEST(MountsTest, TheLastOfATargetHolds) {
  GoodContainer it;
  it.AddMount("/first", "/data");
  it.AddMount("/second", "/data/./");
  const std::vector<std::string> lines = PlanLines(it);
  EXPECT_EQ(lines.size(), 5u);
  EXPECT_THAT(lines, Contains("/second -> /data nodev rec mapped"));
}

// Where a container of the pod could have put a link.
TEST(MountsTest, SourcesOfThePodsOwnDirectoryAreTakenWithoutLinks) {
  const std::string own = "/kubelet/pods/7d3c9a10-1111-2222-3333-444455556666/";
  for (const auto& [source, above] :
       {std::pair(own + "volumes/v", own), std::pair(own + "/./v/sub", own),
        std::pair(own, std::string()),
        std::pair(std::string("/kubelet/pods/other/v"), std::string()),
        std::pair(std::string("/data"), std::string())}) {
    GoodContainer it;
    it.AddMount(source.c_str(), "/data");
    const absl::StatusOr<ContainerDecision> decision = it.Plan();
    ASSERT_TRUE(decision.ok()) << decision.status();
    EXPECT_EQ(decision->plan.mounts(0).plain_below(), above) << source;
  }
  GoodContainer nameless;
  nameless.pod.mutable_metadata()->clear_uid();
  nameless.AddMount("/kubelet/pods//v", "/data");
  EXPECT_EQ(nameless.Plan()->plan.mounts(0).plain_below(), "");
}

TEST(MountsTest, FilesAreReadOnlyWithTheRoot) {
  GoodContainer it;
  it.own_users = false;
  it.Security().set_readonly_rootfs(true);
  EXPECT_THAT(PlanLines(it)[2],
              "/run/caisson/pods/p1/hosts -> /etc/hosts ro nosuid nodev");
}

TEST(MountsTest, RequestsOwnMountsStandInTheirPlace) {
  GoodContainer it;
  it.AddMount("/kubelet/hosts", "/etc/hosts");
  it.AddMount("/kubelet/shm", "/dev/shm");
  EXPECT_THAT(PlanLines(it),
              ElementsAre("/kubelet/hosts -> /etc/hosts nodev rec mapped",
                          "/kubelet/shm -> /dev/shm nodev rec mapped",
                          HasSubstr("-> /etc/resolv.conf"),
                          HasSubstr("-> /etc/hostname")));
}

TEST(MountsTest, ParentsComeFirstAndPathsAreCleaned) {
  GoodContainer it;
  it.AddMount("/s/3", "/a/b/c");
  it.AddMount("/s/2", "//a/./b/");
  it.AddMount("/s/1", "/a");
  const std::vector<std::string> lines = PlanLines(it);
  EXPECT_EQ(lines.front(), "/s/1 -> /a nodev rec mapped");
  EXPECT_EQ(lines[1], "/s/2 -> /a/b nodev rec mapped");
  EXPECT_EQ(lines.back(), "/s/3 -> /a/b/c nodev rec mapped");
}

TEST(MountsTest, FlagsAndPropagationAreTakenOver) {
  GoodContainer it;
  it.own_users = false;
  it.AddMount("/s/ro", "/ro").set_readonly(true);
  cri::Mount& rro = it.AddMount("/s/rro", "/rro");
  rro.set_readonly(true);
  rro.set_recursive_read_only(true);
  it.AddMount("/s/slave", "/slave")
      .set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  it.AddMount("/s/shared", "/shared")
      .set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
  EXPECT_THAT(PlanLines(it),
              IsSupersetOf({"/s/ro -> /ro ro rec", "/s/rro -> /rro ro rro rec",
                            "/s/slave -> /slave rec slave",
                            "/s/shared -> /shared rec shared"}));
}

// Those that runc lets lxcfs and CRIU have.
TEST(MountsTest, FilesOfProcThatSomeCoverMayBeCovered) {
  for (const char* file :
       {"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo",
        "/proc/slabinfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
        "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid"}) {
    GoodContainer it;
    it.AddMount("/var/lib/lxcfs/file", file);
    EXPECT_TRUE(it.Plan().ok()) << file;
  }
  for (const char* other :
       {"/proc/sys/kernel", "/proc/sys/kernel/core_pattern", "/proc/sys",
        "/proc/self/attr/exec", "/proc/cpuinfo/x", "/proc/1"}) {
    GoodContainer it;
    it.AddMount("/var/lib/lxcfs/file", other);
    EXPECT_FALSE(it.Plan().ok()) << other;
  }
}

TEST(MountsTest, TheHostsProcfsIsForWhoSeesTheHostAnyway) {
  const auto plan = [](cri::NamespaceMode pid, bool own_users,
                       const char* source) {
    GoodContainer it;
    it.own_users = own_users;
    it.Security().mutable_namespace_options()->set_pid(pid);
    it.AddMount(source, "/proc/");
    return it.Plan().status();
  };
  EXPECT_TRUE(plan(cri::NODE, false, "/proc").ok());
  EXPECT_TRUE(plan(cri::NODE, false, "//proc/").ok());
  EXPECT_FALSE(plan(cri::NODE, true, "/proc").ok());
  EXPECT_FALSE(plan(cri::NODE, false, "/proc/1").ok());
  EXPECT_FALSE(plan(cri::NODE, false, "/tmp").ok());
  EXPECT_FALSE(plan(cri::POD, false, "/proc").ok());
  EXPECT_FALSE(plan(cri::CONTAINER, false, "/proc").ok());
}

struct Refusal {
  const char* name;
  void (*change)(GoodContainer& it);
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

constexpr Refusal kRefusals[] = {
    {"RelativeSource", [](GoodContainer& it) { it.AddMount("data", "/data"); },
     "check config.mounts[0].host_path: \"data\" is not an absolute path"},
    {"SourceClimbs",
     [](GoodContainer& it) {
       it.AddMount("/var/lib/kubelet/../../../etc", "/data");
     },
     "config.mounts[0].host_path: \"/var/lib/kubelet/../../../etc\" has a"},
    {"NoSource", [](GoodContainer& it) { it.AddMount("", "/data"); },
     "check config.mounts[0].host_path: \"\" is empty"},
    {"RelativeTarget", [](GoodContainer& it) { it.AddMount("/s", "data"); },
     "check config.mounts[0].container_path: \"data\" is not an absolute"},
    {"NoTarget", [](GoodContainer& it) { it.AddMount("/s", ""); },
     "check config.mounts[0].container_path: \"\" is empty"},
    {"TargetClimbs",
     [](GoodContainer& it) { it.AddMount("/s", "/data/../../etc"); },
     "check config.mounts[0].container_path: \"/data/../../etc\" has a"},
    {"TargetEndsInParent",
     [](GoodContainer& it) { it.AddMount("/s", "/data/.."); },
     "\"/data/..\" has a \"..\" in it"},
    {"TargetIsTheRoot", [](GoodContainer& it) { it.AddMount("/s", "/./"); },
     "check config.mounts[0].container_path: \"/\" is not a place"},
    {"TargetIsProc", [](GoodContainer& it) { it.AddMount("/s", "/proc"); },
     "\"/proc\" lies in /proc"},
    {"TargetLiesInProc",
     [](GoodContainer& it) { it.AddMount("/s", "//proc/self/attr/exec"); },
     "\"/proc/self/attr/exec\" lies in /proc"},
    {"LineFeedInTarget",
     [](GoodContainer& it) { it.AddMount("/s", "/data\n"); },
     "\"/data\\n\" has a control character"},
    {"OverlongTarget",
     [](GoodContainer& it) {
       it.AddMount("/s", ("/" + std::string(4095, 't')).c_str());
     },
     "is longer than 4095 bytes"},
    {"TheSecondOfTwo",
     [](GoodContainer& it) {
       it.AddMount("/s", "/good");
       it.AddMount("/s", "bad");
     },
     "check config.mounts[1].container_path: \"bad\""},
    {"UnknownPropagation",
     [](GoodContainer& it) {
       it.AddMount("/s", "/t")
           .set_propagation(static_cast<cri::MountPropagation>(8));
     },
     "check config.mounts[0].propagation: \"8\" is unknown"},
    {"RecursiveReadOnlyButWritable",
     [](GoodContainer& it) {
       it.AddMount("/s", "/t").set_recursive_read_only(true);
     },
     "config.mounts[0].recursive_read_only: \"true\" needs readonly"},
    {"RecursiveReadOnlyThatPropagates",
     [](GoodContainer& it) {
       cri::Mount& mount = it.AddMount("/s", "/t");
       mount.set_readonly(true);
       mount.set_recursive_read_only(true);
       mount.set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
     },
     "needs readonly and private propagation"},
};

TEST(MountsTest, WhatIsWrongIsRefusedByFieldAndValue) {
  for (const Refusal& refusal : kRefusals) {
    GoodContainer it;
    refusal.change(it);
    const absl::Status status = it.Plan().status();
    EXPECT_EQ(status.code(), refusal.code) << refusal.name << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.message))
        << refusal.name;
    EXPECT_LT(status.message().size(), 1024u) << refusal.name;
  }
}

}  // namespace
}  // namespace caisson::plan
