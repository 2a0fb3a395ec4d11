#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "runtime/identity/capabilities.h"
#include "tests/security/group_c_fixture.h"

// Rows C20 to C22: files of /proc and /sys, devices, and the knobs by which a
// kernel runs programs of somebody's choice.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Not;
using ::testing::SizeIs;

// What a kubelet asks for; and, for each processor, the directory that it asks
// for where there is one, and another that each has.
std::vector<std::string> MaskedPaths() {
  std::vector<std::string> paths = {
      "/proc/acpi",       "/proc/asound",      "/proc/interrupts",
      "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
      "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
      "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
  for (int cpu = 0; cpu < get_nprocs_conf(); ++cpu) {
    const std::string base = absl::StrCat("/sys/devices/system/cpu/cpu", cpu);
    paths.push_back(base + "/thermal_throttle");
    paths.push_back(base + "/topology");
  }
  return paths;
}

const std::vector<std::string> kReadOnlyPaths = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

// Each runs a program, or tells one what to run, when it can be written.
const std::vector<std::string> kKnobs = {
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",      "/proc/sys/kernel/panic",
    "/proc/sys/kernel/poweroff_cmd", "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/panic_on_oom",     "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sysrq-trigger",           "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/ksm/run",        "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.procs",   "/sys/fs/cgroup/memory/release_agent"};

class KernelEscapeTest : public GroupCTest {
 protected:
  static EditContainer Paths(const std::vector<std::string>& masked) {
    return [=](cri::ContainerConfig& it) {
      Security(it).clear_masked_paths();
      Security(it).clear_readonly_paths();
      for (const std::string& path : masked) {
        Security(it).add_masked_paths(path);
      }
      for (const std::string& path : kReadOnlyPaths) {
        Security(it).add_readonly_paths(path);
      }
    };
  }

  // Paths with the seccomp filter out of the way, and capabilities.
  static EditContainer Open(const std::vector<std::string>& capabilities,
                            bool privileged = false) {
    return [=](cri::ContainerConfig& it) {
      Paths(MaskedPaths())(it);
      Security(it).mutable_seccomp()->set_profile_type(
          cri::SecurityProfile::Unconfined);
      Security(it).set_privileged(privileged);
      for (const std::string& name : capabilities) {
        Security(it).mutable_capabilities()->add_add_capabilities(name);
      }
    };
  }

  // A directory of the host, for this test.
  std::string Volume() {
    fs::create_directory(directory_ + "/kernel");
    return directory_ + "/kernel";
  }

  void TearDown() override {
    GroupCTest::TearDown();
    std::error_code error;
    fs::remove_all(directory_ + "/kernel", error);
  }

  std::vector<std::string> Rewrite(const std::string& container) {
    std::vector<std::string> arguments = {"rewrite"};
    arguments.insert(arguments.end(), kKnobs.begin(), kKnobs.end());
    return TryAll(container, arguments);
  }
};

CAISSON_BOTH_MODES(KernelEscapeTest);

// CVE-2015-3630, CVE-2018-10892, CVE-2020-8694.
TEST_P(KernelEscapeTest, C20MaskedPathsAreEmpty) {
  const std::string container = Start(ModePod(), Paths(MaskedPaths()));
  int seen = 0;
  for (const std::string& path : MaskedPaths()) {
    const Json facts = Probe(container, {"stat", path});
    if (!fs::exists(path)) {
      EXPECT_FALSE(facts.contains("type")) << path;
      continue;
    }
    ++seen;
    if (fs::is_directory(path)) {
      EXPECT_EQ(Sh(container, "ls -A " + path + " | wc -l").text, "0\n")
          << path;
      EXPECT_EQ(Try(container, {"write", path + "/x", "x"}), "EROFS") << path;
      continue;
    }
    EXPECT_EQ(facts["type"], unsigned{S_IFCHR}) << path;
    EXPECT_EQ(facts["rdev_major"], 1) << path;
    EXPECT_EQ(facts["rdev_minor"], 3) << path;
    EXPECT_EQ(Read(container, path), "") << path;
  }
  EXPECT_GE(seen, 3);
}

TEST_P(KernelEscapeTest, C20ReadOnlyPathsAreSoAndStaySo) {
  const std::string container = Start(ModePod(), Paths(MaskedPaths()));
  const Json report = Report(container);
  for (const std::string& path : kReadOnlyPaths) {
    if (!fs::exists(path)) {
      continue;
    }
    bool found = false;
    for (const Json& mount : report["mounts"]) {
      const std::vector<std::string> options = mount["options"];
      if (mount["mountpoint"] == path) {
        found = true;
        EXPECT_THAT(options, Contains("ro")) << path;
      }
    }
    EXPECT_TRUE(found) << path;
  }
  const std::string refused = OwnUsers() ? "EACCES" : "EROFS";
  EXPECT_THAT(TryAll(container, {"rewrite", "/proc/sys/kernel/core_pattern",
                                 "/proc/sys/vm/panic_on_oom",
                                 "/proc/irq/default_smp_affinity"}),
              Each(AnyOf("EROFS", refused)));
  for (const char* path : {"/proc/sys", "/proc/keys", "/sys/firmware"}) {
    EXPECT_THAT(TryAll(container, {"try-remount", path}),
                testing::AllOf(Not(Contains("OK")), SizeIs(testing::Gt(8))))
        << path;
  }
}

// Who may make a user namespace of its own has all capabilities there, and
// the mounts came from outside.
TEST_P(KernelEscapeTest, C20MasksAreLockedForNestedUsers) {
  const std::string container = Start(ModePod(), [](auto& it) {
    Open({})(it);
    Security(it).mutable_run_as_user()->set_value(1000);
  });
  const std::string nested = "unshare -r -m sh -c ";
  EXPECT_EQ(Sh(container, nested + "'mount -t tmpfs x /tmp && umount /tmp'")
                .exit_code,
            0);
  for (const char* path : {"/proc/keys", "/proc/sys", "/sys/firmware",
                           "/proc/interrupts", "/sys"}) {
    const Output output =
        Sh(container, absl::StrCat(nested, "'umount -l ", path, " 2>&1'"));
    EXPECT_NE(output.exit_code, 0) << path;
    EXPECT_THAT(output.text, testing::HasSubstr("Invalid argument")) << path;
  }
}

// A setting of the pod's own, for an administrator of it: only the mount says
// no.  And no more is masked than was asked for.
TEST_P(KernelEscapeTest, C20OnlyWhatIsAskedForIsMasked) {
  const std::string container = Start(ModePod(), [](auto& it) {
    Paths({})(it);
    Security(it).mutable_capabilities()->add_add_capabilities("NET_ADMIN");
  });
  EXPECT_NE(Read(container, "/proc/interrupts"), "");
  EXPECT_EQ(Try(container, {"rewrite", "/proc/sys/net/ipv4/ip_forward"}),
            "EROFS");
}

// Programs of one type that hang on a cgroup, by bpf(2).
uint32_t DeviceFilters(const std::string& cgroup) {
  const UniqueFd directory(
      open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  bpf_attr attributes = {};
  uint32_t programs[8] = {};
  attributes.query.target_fd = static_cast<uint32_t>(directory.get());
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<uintptr_t>(programs);
  attributes.query.prog_cnt = 8;
  EXPECT_EQ(syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof(attributes)),
            0)
      << cgroup;
  return attributes.query.prog_cnt;
}

// major:minor of the host's first disk that isn't a loop device.
dev_t SomeDisk() {
  std::ifstream file("/proc/partitions");
  for (std::string line; std::getline(file, line);) {
    unsigned numbers[2] = {};
    if (sscanf(line.c_str(), "%u %u", &numbers[0], &numbers[1]) == 2 &&
        numbers[0] != 7) {
      return makedev(numbers[0], numbers[1]);
    }
  }
  ADD_FAILURE() << "no disk";
  return 0;
}

// GHSA-g54h-m393-cpwq.
TEST_P(KernelEscapeTest, C21DevicesAreDeniedButForThoseListed) {
  const std::string container = Start(ModePod(), [&](auto& it) {
    Open({"MKNOD"})(it);
    // Not nodev, as the root is.
    cri::Mount& mount = *it.add_mounts();
    mount.set_host_path(Volume());
    mount.set_container_path("/volume");
  });
  const std::string cgroup =
      absl::StrCat(layout_.unified, "/", CgroupOf(container));
  const auto attack = [&](const std::string& name) {
    const auto device = [&](const char* of, unsigned mode, dev_t number) {
      return absl::StrCat("133:@", name, of, ":", mode, ":", number);
    };
    // mknod(2) and open(2) of a disk, of the kernel's log, of null.
    return TryAll(container, {"calls", "x86-64",
                              device("disk", S_IFBLK | 0600, SomeDisk()),
                              absl::StrCat("2:@", name, "disk:0"),
                              device("kmsg", S_IFCHR | 0600, makedev(1, 11)),
                              absl::StrCat("2:@", name, "kmsg:0"),
                              device("null", S_IFCHR | 0600, makedev(1, 3)),
                              absl::StrCat("2:@", name, "null:0")});
  };
  const auto expected =
      OwnUsers()
          ? std::vector<std::string>{"EPERM",  "ENOENT", "EPERM",
                                     "ENOENT", "EPERM",  "ENOENT"}
          : std::vector<std::string>{"OK", "EPERM", "OK", "EPERM", "OK", "OK"};
  EXPECT_EQ(attack("/volume/1"), expected);
  if (!OwnUsers()) {
    // The other wall.
    EXPECT_EQ(attack("/1"),
              (std::vector<std::string>{"OK", "EACCES", "OK", "EACCES", "OK",
                                        "EACCES"}));
  }
  EXPECT_EQ(DeviceFilters(cgroup), 1u);
  cri::UpdateContainerResourcesRequest update;
  update.set_container_id(container);
  update.mutable_linux()->set_cpu_shares(512);
  update.mutable_linux()->set_memory_limit_in_bytes(256 << 20);
  cri::UpdateContainerResourcesResponse updated;
  const grpc::Status status = Call(
      &cri::RuntimeService::Stub::UpdateContainerResources, update, updated);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(attack("/volume/2"), expected);
  EXPECT_EQ(DeviceFilters(cgroup), 1u);
}

// CVE-2022-0492 and its kin: with any one capability more.
TEST_P(KernelEscapeTest, C22NoCapabilityOpensTheKnobs) {
  const std::string pod = ModePod();
  const std::vector<std::string> mounts = {
      "calls",
      "x86-64",
      "165:@none:@/tmp:@cgroup:0:@all",
      "165:@none:@/tmp:@binfmt_misc:0:0",
      "165:@none:@/tmp:@debugfs:0:0",
      "165:@none:@/tmp:@tracefs:0:0",
      "165:@none:@/tmp:@securityfs:0:0",
      "165:@none:@/tmp:@sysfs:0:0",
      "165:@none:@/tmp:@proc:0:0",
      "165:@none:@/proc/sys:@none:0x1020:0",
      "165:@none:@/sys:@none:0x1020:0",
      "166:@/proc/sys:2"};
  for (int i = 0; i <= CAP_LAST_CAP; ++i) {
    const std::string name = identity::CapabilityName(i);
    const grpc::Status status = TryCreate(pod, Open({name}));
    if (!OwnUsers() && (identity::HeldCapabilities() >> i & 1) == 0) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION)
          << name;
      continue;
    }
    ASSERT_TRUE(status.ok()) << name << status.error_message();
    const std::string container = status.error_message();
    EXPECT_THAT(Rewrite(container),
                testing::AllOf(SizeIs(kKnobs.size()), Not(Contains("OK"))))
        << name;
    // Whoever may mount is in the next test.
    if (i != CAP_SYS_ADMIN) {
      EXPECT_THAT(TryAll(container, mounts),
                  testing::AllOf(SizeIs(mounts.size() - 2),
                                 Each(AnyOf("EPERM", "EACCES"))))
          << name;
    }
  }
}

// With ids of its own, all capabilities and no seccomp, a pod mounts what a
// kernel lets it; what it finds there is not its to write.
TEST_P(KernelEscapeTest, C22WhoMountsFindsNothingToWrite) {
  if (!OwnUsers()) {
    // SYS_ADMIN among the host's users is the host's administrator.
    const std::string container = Start(ModePod(), Open({"SYS_ADMIN"}));
    EXPECT_THAT(Rewrite(container), Not(Contains("OK")));
    return;
  }
  const std::string pod = ModePod();
  for (const bool privileged : {false, true}) {
    const std::string container = Start(
        pod, privileged ? Open({}, true) : Open({"SYS_ADMIN", "SYS_PTRACE"}));
    const Output mounted = Sh(container, R"(
      for type in proc sysfs cgroup2 debugfs tracefs securityfs; do
        mkdir -p /m/$type; mount -t $type x /m/$type
      done
      for one in memory devices pids freezer cpuset rdma misc; do
        mkdir -p /m/$one; mount -t cgroup -o $one x /m/$one
      done
      mount -o remount,bind,rw /proc/sys; mount -o remount,bind,rw /proc
      umount -l /proc/sys; mount -o remount,bind,rw /sys
      echo done)");
    EXPECT_THAT(mounted.text, testing::HasSubstr("done")) << mounted.error;
    EXPECT_EQ(Sh(container, R"(
      for knob in $(find /m /proc/sys/kernel /proc/sys/vm /sys/kernel \
          -maxdepth 4 '(' -name release_agent -o -name core_pattern \
          -o -name modprobe -o -name uevent_helper -o -name poweroff_cmd \
          -o -name panic_on_oom -o -name sysrq-trigger -o -name kptr_restrict \
          -o -name run ')' 2>/dev/null); do
        (cat $knob >/tmp/old && cat /tmp/old >$knob) 2>/dev/null && echo $knob
      done; true)")
                  .text,
              "")
        << privileged;
    EXPECT_THAT(Rewrite(container), Contains("EACCES")) << privileged;
  }
}

}  // namespace
}  // namespace caisson::cri_test
