#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// What a reboot does: no process goes on, cgroups and mounts are gone, and so
// is what lay in memory; the disk is as it was, and the kernel says another
// boot id.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RebootTest : public LifeTest {
 protected:
  void TearDown() override {
    LifeTest::TearDown();
    std::error_code error;
    fs::remove(BootIdFile(), error);
    fs::remove(Script(), error);
  }

  std::string BootIdFile() const { return directory_ + "/boot_id"; }

  std::string Script() const { return directory_ + "/after-reboot"; }

  // All but the daemon's start.
  void GoDown() {
    daemon_->Kill();
    for (const std::string& name :
         {config_.cgroup.keepers, config_.cgroup.parent}) {
      const absl::StatusOr<cgroup::Cgroup> group =
          cgroup::Cgroup::Open(layout_, name);
      ASSERT_TRUE(group.ok()) << group.status();
      EXPECT_TRUE(group->Kill().ok());
      EXPECT_TRUE(Await([&] { return !group->IsPopulated().value_or(true); }))
          << name;
    }
    testing::Shell(absl::StrCat("find /sys/fs/cgroup -depth -type d -path '*/",
                                config_.cgroup.parent,
                                "*' -exec rmdir {} + 2>/dev/null"));
    DropMemory();
    DropRules();
  }

  // Mounts below the state, and the tmpfs itself, which comes back empty.
  void DropMemory() {
    testing::Shell(absl::StrCat(
        "cut -d' ' -f5 /proc/self/mountinfo | grep '^", config_.state,
        "' | sort -r | while read -r point; do umount -l \"$point\"; done"));
    ASSERT_EQ(
        mount("caisson-run", config_.state.c_str(), "tmpfs", 0, "mode=755"), 0)
        << strerror(errno);
  }

  // Rules of this run's network: its name is in their comments.
  void DropRules() {
    const std::string network =
        absl::StrCat("cb", config_.cgroup.parent.substr(strlen("caissonrun")));
    testing::Shell(absl::StrCat(
        "iptables -w -t nat -S POSTROUTING | grep '\"", network,
        "\\\\\"' | sed 's/^-A/-D/' | while read -r rule; do"
        " eval \"iptables -w -t nat $rule\";"
        " chain=$(echo \"$rule\" | sed -E 's/.*-j //');"
        " iptables -w -t nat -F $chain; iptables -w -t nat -X $chain; done"
        " 2>/dev/null"));
  }

  // In a mount namespace of its own, whose /proc alone is another's.
  absl::Duration ComeUp() {
    std::ofstream(BootIdFile()) << "00000000-1111-4222-8333-444444444444\n";
    std::ofstream(Script())
        << "#!/bin/sh\nset -e\n"
        << "mount --make-private /proc 2>/dev/null || true\n"
        << "mount --bind " << BootIdFile()
        << " /proc/sys/kernel/random/boot_id\nexec \"$@\"\n";
    return daemon_->Start(
        {"unshare", "--mount", "--propagation", "unchanged", "sh", Script()});
  }

  void ExpectAllDown() {
    std::vector<cri::PodSandbox> pods;
    ASSERT_TRUE(client_->Pods(&pods).ok());
    EXPECT_EQ(pods.size(), 4u);
    for (const cri::PodSandbox& pod : pods) {
      EXPECT_EQ(pod.state(), cri::SANDBOX_NOTREADY) << pod.metadata().name();
    }
    std::vector<cri::Container> containers;
    ASSERT_TRUE(client_->Containers(&containers).ok());
    EXPECT_EQ(containers.size(), 4u);
    for (const cri::Container& container : containers) {
      EXPECT_EQ(container.state(), cri::CONTAINER_EXITED);
      cri::ContainerStatusResponse status;
      EXPECT_TRUE(client_->ContainerStatus(container.id(), &status).ok());
      EXPECT_EQ(status.status().exit_code(), 255);
      EXPECT_THAT(testing::ReadFile(status.status().log_path()),
                  HasSubstr("before"));
    }
  }

  // First id of the range that the pod's users have on the host.
  uint32_t FirstIdOf(const std::string& pod) {
    cri::PodSandboxStatusResponse response;
    EXPECT_TRUE(client_->PodStatus(pod, &response).ok());
    const cri::UserNamespace& users =
        response.status().linux().namespaces().options().userns_options();
    return users.uids_size() > 0 ? users.uids(0).host_id() : 0;
  }
};

TEST_F(RebootTest, LeavesNoAddressAndNoRangeTaken) {
  const std::vector<std::string> says = {"sh", "-c",
                                         "echo before; exec sleep 1000"};
  std::vector<std::string> logs;
  for (const char* name : {"a", "b", "c"}) {
    Container(Pod(name, true), "app", says);
  }
  Container(Pod("host"), "app", says);
  ASSERT_EQ(leftovers_->Addresses().size(), 3u);
  ASSERT_TRUE(Await([&] {
    return testing::ShellOutput(
               absl::StrCat("grep -l before ", directory_,
                            "/logs/[abch]*-app.log | wc -l")) == "4";
  }));
  GoDown();
  const absl::Duration took = ComeUp();
  printf("served %.2f s after the reboot\n", absl::ToDoubleSeconds(took));
  ASSERT_LE(took, OnThisMachine(absl::Seconds(1))) << daemon_->LogTail();
  ExpectAllDown();
  EXPECT_TRUE(Await([&] { return leftovers_->Addresses().empty(); }))
      << absl::StrJoin(leftovers_->Addresses(), " ");
  RemoveAll();
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(20)), IsEmpty());
  const std::string fresh = Pod("fresh", true);
  EXPECT_EQ(FirstIdOf(fresh), config_.identity.first);
  EXPECT_EQ(Output(Container(fresh, "app"), {"echo", "well"}), "well\n");
}

// Another daemon meanwhile finds the same: nothing is undone twice.
TEST_F(RebootTest, IsTheSameForTheDaemonAfterTheNext) {
  Container(Pod("a", true), "app");
  GoDown();
  ASSERT_NE(ComeUp(), absl::InfiniteDuration()) << daemon_->LogTail();
  daemon_->Kill();
  ASSERT_NE(ComeUp(), absl::InfiniteDuration()) << daemon_->LogTail();
  EXPECT_TRUE(Await([&] { return leftovers_->Addresses().empty(); }));
  std::vector<cri::PodSandbox> pods;
  ASSERT_TRUE(client_->Pods(&pods).ok());
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_EQ(pods[0].state(), cri::SANDBOX_NOTREADY);
}

}  // namespace
}  // namespace caisson::cri_test
