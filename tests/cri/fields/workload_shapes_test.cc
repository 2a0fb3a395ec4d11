#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cri/fields/fields_fixture.h"

// What workloads of the wild ask for, as they run on other runtimes; and that
// the host is afterwards as it was.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kRequested[] = "caisson-requested";

class WorkloadShapesTest : public FieldsTest {
 protected:
  void SetUp() override {
    FieldsTest::SetUp();
    fs::create_directories(Here());
  }

  void TearDown() override {
    for (const std::string& mount : MountsBelow()) {
      umount2(mount.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    FieldsTest::TearDown();
    std::error_code error;
    fs::remove_all(Here(), error);
  }

  std::string Here() const { return directory_ + "/shapes"; }

  // A filesystem that the host shares, as systemd does all.
  std::string Shared(const std::string& name, const char* type = "tmpfs") {
    const std::string path = Here() + "/" + name;
    fs::create_directories(path);
    EXPECT_EQ(mount(type, path.c_str(), type, 0, nullptr), 0);
    EXPECT_EQ(mount(nullptr, path.c_str(), nullptr, MS_SHARED, nullptr), 0);
    return path;
  }

  // Points of the host's mounts below Here(), the last one first.
  std::vector<std::string> MountsBelow() const {
    std::vector<std::string> points;
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
      const std::vector<std::string> fields =
          absl::StrSplit(line, absl::MaxSplits(' ', 5));
      if (absl::StartsWith(fields[4], Here() + "/")) {
        points.insert(points.begin(), fields[4]);
      }
    }
    return points;
  }

  static void Add(
      cri::ContainerConfig& it, const std::string& source,
      const std::string& target,
      cri::MountPropagation propagation = cri::PROPAGATION_PRIVATE) {
    cri::Mount& mount = *it.add_mounts();
    mount.set_host_path(source);
    mount.set_container_path(target);
    mount.set_propagation(propagation);
  }

  std::string PrivilegedPod() {
    return Pod(
        [](cri::PodSandboxConfig& it) {
          it.mutable_linux()->mutable_security_context()->set_privileged(true);
        },
        kRequested);
  }

  static void BePrivileged(cri::ContainerConfig& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  }

  // What a script prints inside, and how it ended when not well.
  std::string Shell(const std::string& container, const std::string& script) {
    cri::ExecSyncRequest request;
    request.set_container_id(container);
    for (const std::string& word :
         {std::string("/bin/sh"), std::string("-c"), script}) {
      request.add_cmd(word);
    }
    request.set_timeout(20);
    cri::ExecSyncResponse response;
    const grpc::Status status =
        Call(&cri::RuntimeService::Stub::ExecSync, request, response);
    if (!status.ok() || response.exit_code() != 0) {
      return absl::StrCat("<", status.error_message(), response.exit_code(),
                          ": ", response.stderr(), ">");
    }
    return response.stdout();
  }

  grpc::Status Stop(const std::string& container, int64_t seconds) {
    cri::StopContainerRequest request;
    request.set_container_id(container);
    request.set_timeout(seconds);
    cri::StopContainerResponse response;
    return Call(&cri::RuntimeService::Stub::StopContainer, request, response);
  }

  // One that ignores what asks it to end.
  std::string StartStubborn(const std::string& pod) {
    const std::string container = Start(pod, [](auto& it) {
      it.clear_command();
      for (const char* word :
           {"/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"}) {
        it.add_command(word);
      }
    });
    // From then on it ignores it.
    EXPECT_EQ(
        Shell(container,
              "until grep -q 'SigIgn:.*4...$' /proc/1/status; do :; done"),
        "");
    return container;
  }
};

// Owner and mode of the host's nodes are the machine's: who is the host's root
// and not privileged has nodes of its own as well.
TEST_F(WorkloadShapesTest, TheHostsDeviceNodesAreLeftAlone) {
  struct stat before = {};
  ASSERT_EQ(stat("/dev/full", &before), 0);
  const std::string plain = Start(Pod(nullptr, kRequested));
  const std::string with_device = Start(Pod(nullptr, kRequested), [](auto& it) {
    cri::Device& device = *it.add_devices();
    device.set_host_path("/dev/full");
    device.set_container_path("/dev/full");
    device.set_permissions("rw");
  });
  const std::string privileged = Start(PrivilegedPod(), BePrivileged);
  for (const std::string& container : {plain, with_device, privileged}) {
    EXPECT_EQ(Shell(container,
                    "chmod 606 /dev/full && chown 5:6 /dev/full && "
                    "stat -c '%a %u %g %t:%T' /dev/full"),
              "606 5 6 1:7\n");
    struct stat after = {};
    ASSERT_EQ(stat("/dev/full", &after), 0);
    EXPECT_EQ(after.st_mode, before.st_mode);
    EXPECT_EQ(after.st_uid, before.st_uid);
    EXPECT_EQ(chown("/dev/full", before.st_uid, before.st_gid), 0);
    EXPECT_EQ(chmod("/dev/full", before.st_mode & 07777), 0);
  }
  // With ids of its own they are the host's, which it can't change.
  const std::string apart = Start(Pod());
  EXPECT_THAT(Shell(apart, "chmod 606 /dev/full"), HasSubstr("not permitted"));
}

// As debootstrap, losetup and udev do.
TEST_F(WorkloadShapesTest, WhoHasAllDevicesMakesNodes) {
  const std::string container = Start(PrivilegedPod(), BePrivileged);
  for (const char* path : {"/null", "/dev/null-2"}) {
    EXPECT_EQ(Shell(container,
                    absl::StrCat("mknod ", path, " c 1 3 && echo x >", path)),
              "");
  }
  EXPECT_EQ(Shell(container, "rm /dev/full && test ! -e /dev/full"), "");
  EXPECT_TRUE(fs::exists("/dev/full"));
}

// Of a volume that the host shares all that is mounted on it comes up on the
// host: nothing is that the request doesn't name.
TEST_F(WorkloadShapesTest, NothingOfOursIsMountedOnWhatTheHostShares) {
  const std::string dev = Shared("dev");
  for (const char* name : {"/pts", "/shm", "/mqueue"}) {
    fs::create_directory(dev + name);
  }
  ASSERT_EQ(mknod((dev + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  const std::string etc = Shared("etc");
  for (const char* name : {"/hosts", "/hostname", "/resolv.conf"}) {
    std::ofstream(etc + name) << "host\n";
  }
  const std::string sys = Shared("sys", "sysfs");
  const std::vector<std::string> before = MountsBelow();
  for (const auto& [source, target, seen] :
       {std::tuple(dev, "/dev", "/dev/null"),
        std::tuple(etc, "/etc", "/etc/hostname"),
        std::tuple(sys, "/sys", "/sys/kernel")}) {
    const std::string container = Start(
        PrivilegedPod(), [&, &source = source, &target = target](auto& it) {
          BePrivileged(it);
          Add(it, source, target, cri::PROPAGATION_BIDIRECTIONAL);
        });
    EXPECT_EQ(MountsBelow(), before) << target;
    EXPECT_EQ(Try(container, {"stat", seen}), "OK");
  }
  EXPECT_EQ(before.size(), 3u);
}

// A driver of the CSI, and an agent that keeps maps in the host's bpffs.
TEST_F(WorkloadShapesTest, WhatIsMountedInsideComesUpOnTheHost) {
  const std::string kubelet = Shared("kubelet");
  fs::create_directories(kubelet + "/pods/p/mount");
  const std::string bpf = Shared("bpf");
  const std::string container = Start(PrivilegedPod(), [&](auto& it) {
    BePrivileged(it);
    Add(it, kubelet, "/var/lib/kubelet", cri::PROPAGATION_BIDIRECTIONAL);
    Add(it, bpf, "/sys/fs/bpf", cri::PROPAGATION_BIDIRECTIONAL);
    Add(it, "/dev", "/dev");
    Add(it, "/sys", "/host/sys");
  });
  const std::vector<std::string> before = MountsBelow();
  EXPECT_EQ(
      Shell(container,
            "mount -t tmpfs v /var/lib/kubelet/pods/p/mount && "
            "echo data >/var/lib/kubelet/pods/p/mount/file && "
            "mkdir /sys/fs/bpf/maps && mount -t tmpfs m /sys/fs/bpf/maps"),
      "");
  std::string text;
  std::getline(std::ifstream(kubelet + "/pods/p/mount/file"), text);
  EXPECT_EQ(text, "data");
  EXPECT_EQ(MountsBelow().size(), before.size() + 2);
  // What it has mounted outlives it.
  EXPECT_TRUE(Stop(container, 0).ok());
  EXPECT_EQ(MountsBelow().size(), before.size() + 2);
}

// Or the driver would believe that its mounts arrive.
TEST_F(WorkloadShapesTest, SharingNeedsAMountThatIsShared) {
  const std::string source = Shared("private");
  ASSERT_EQ(mount(nullptr, source.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
  const grpc::Status status = TryCreate(PrivilegedPod(), [&](auto& it) {
    BePrivileged(it);
    Add(it, source, "/volume", cri::PROPAGATION_BIDIRECTIONAL);
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("not shared"));
}

// node-exporter: all of the host, seen by nobody.
TEST_F(WorkloadShapesTest, AnExporterReadsTheHost) {
  const auto namespaces = [](auto& security) {
    security.mutable_namespace_options()->set_network(cri::NODE);
    security.mutable_namespace_options()->set_pid(cri::NODE);
  };
  const std::string pod = Pod([&](auto& it) {
    namespaces(*it.mutable_linux()->mutable_security_context());
  });
  const std::string container = Start(pod, [&](auto& it) {
    auto& security = *it.mutable_linux()->mutable_security_context();
    namespaces(security);
    security.mutable_run_as_user()->set_value(65534);
    security.set_readonly_rootfs(true);
    Add(it, "/", "/host", cri::PROPAGATION_HOST_TO_CONTAINER);
    it.mutable_mounts(0)->set_readonly(true);
  });
  EXPECT_EQ(Read(container, "/host/proc/1/comm"),
            Read(container, "/proc/1/comm"));
  // Of the mount itself, as not all below it need be read-only.
  EXPECT_EQ(Try(container, {"write", "/host/caisson-shapes", "x"}), "EROFS");
}

// A hostPath without a type may name what isn't there.
TEST_F(WorkloadShapesTest, AHostPathThatIsMissingIsMade) {
  for (const char* handler : {"", kRequested}) {
    const std::string source =
        absl::StrCat(Here(), "/missing", handler, "/deep");
    const std::string container =
        Start(Pod(nullptr, handler), [&](auto& it) { Add(it, source, "/v"); });
    EXPECT_EQ(Try(container, {"write", "/v/file", "x"}), "OK");
    struct stat facts = {};
    ASSERT_EQ(stat(source.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0755u);
    EXPECT_EQ(facts.st_uid, 0u);
    EXPECT_TRUE(fs::exists(source + "/file"));
  }
}

// Images have them for what a volume brings: /etc/localtime, /etc/resolv.conf,
// /var/run.
TEST_F(WorkloadShapesTest, LinksThatLeadToNothingAreTargets) {
  const std::string source = Here() + "/links";
  fs::create_directories(source);
  fs::create_symlink("/nowhere/deep/file", source + "/absolute");
  fs::create_symlink("../zone/info/file", source + "/relative");
  fs::create_symlink("absolute", source + "/chain");
  fs::create_symlink("/run-of-it", source + "/directory");
  fs::create_symlink("loop", source + "/loop");
  std::ofstream(Here() + "/file") << "volume\n";
  for (const char* handler : {"", kRequested}) {
    for (const auto& [target, place] :
         {std::pair("/v/absolute", "/nowhere/deep/file"),
          std::pair("/v/relative", "/zone/info/file"),
          std::pair("/v/chain", "/nowhere/deep/file"),
          std::pair("/v/directory/sub/file", "/run-of-it/sub/file")}) {
      const std::string container =
          Start(Pod(nullptr, handler), [&, &target = target](auto& it) {
            Add(it, source, "/v");
            Add(it, Here() + "/file", target);
          });
      EXPECT_EQ(Read(container, target), "volume") << target;
      EXPECT_EQ(Read(container, place), "volume") << target;
    }
  }
  const grpc::Status loop = TryCreate(Pod(), [&](auto& it) {
    Add(it, source, "/v");
    Add(it, Here() + "/file", "/v/loop");
  });
  EXPECT_FALSE(loop.ok());
  EXPECT_FALSE(fs::exists("/nowhere"));
}

// "/v" and "/v/" are different for who checks manifests.
TEST_F(WorkloadShapesTest, TheLastVolumeOfATargetIsThere) {
  for (const char* name : {"/a", "/b"}) {
    fs::create_directories(Here() + name);
    std::ofstream(Here() + name + "/file") << name;
  }
  const std::string container = Start(Pod(), [&](auto& it) {
    Add(it, Here() + "/a", "/v");
    Add(it, Here() + "/b", "/v/");
  });
  EXPECT_EQ(Read(container, "/v/file"), "/b");
}

TEST_F(WorkloadShapesTest, AWorkingDirectoryIsMadeBelowAReadOnlyRoot) {
  for (const char* handler : {"", kRequested}) {
    const std::string container = Start(Pod(nullptr, handler), [](auto& it) {
      it.set_working_dir("/work/of/it");
      it.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
    });
    EXPECT_EQ(Shell(container, "pwd && stat -c '%a %u' ."),
              "/work/of/it\n755 0\n");
    EXPECT_EQ(Try(container, {"write", "/work/new", "x"}), "EROFS");
  }
}

// Its volumes are there though it never made them.
TEST_F(WorkloadShapesTest, VolumesOfAnImageAreDirectories) {
  const std::string image = "docker.io/library/caisson-volumes:good";
  Pull(image);
  const std::string container =
      Start(Pod(), [&](auto& it) { it.mutable_image()->set_image(image); });
  for (const char* path : {"/new/deep/file", "/data/sub/file"}) {
    EXPECT_EQ(Try(container, {"write", path, "x"}), "OK") << path;
  }
}

TEST_F(WorkloadShapesTest, SharedMemoryIsTheHostsWithItsIpc) {
  const auto ipc = [](auto& it) {
    it.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->set_ipc(cri::NODE);
  };
  const std::string name = absl::StrCat("/dev/shm/caisson-shapes-", getpid());
  std::ofstream(name) << "host\n";
  EXPECT_EQ(Read(Start(Pod(ipc), ipc), name), "host");
  EXPECT_EQ(Read(Start(Pod()), name), "<ENOENT>");
  fs::remove(name);
}

// Port 80 and ping without a capability, as elsewhere.
TEST_F(WorkloadShapesTest, APodsNetworkAsksNoPrivilegeForPortsAndEchoes) {
  constexpr char kPorts[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  constexpr char kGroups[] = "/proc/sys/net/ipv4/ping_group_range";
  const std::string apart = Start(Pod());
  EXPECT_EQ(Read(apart, kPorts), "0");
  EXPECT_EQ(Read(apart, kGroups), "0\t65535");
  const std::string requested = Start(Pod(nullptr, kRequested));
  EXPECT_EQ(Read(requested, kGroups), "0\t2147483647");
  const std::string asked = Start(Pod([](auto& it) {
    auto& sysctls = *it.mutable_linux()->mutable_sysctls();
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "1000";
  }));
  EXPECT_EQ(Read(asked, kPorts), "1000");
}

// The kubelet asks again with less time when a pod is deleted by force.
TEST_F(WorkloadShapesTest, AShorterGracePeriodCounts) {
  using std::chrono::steady_clock;
  const std::string pod = Pod();
  const auto began = steady_clock::now();
  const std::string first = StartStubborn(pod);
  const std::string second = StartStubborn(pod);
  auto patient =
      std::async(std::launch::async, [&] { return Stop(first, 100); });
  auto other =
      std::async(std::launch::async, [&] { return Stop(second, 100); });
  EXPECT_TRUE(Stop(first, 0).ok());
  EXPECT_TRUE(patient.get().ok());
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(pod);
  cri::StopPodSandboxResponse response;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::StopPodSandbox, request, response).ok());
  EXPECT_TRUE(other.get().ok());
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(60));
}

// A VPN's: /dev/net/tun is a volume, for manifests can't name devices.
TEST_F(WorkloadShapesTest, TunnelsAreMadeByAVolumeOfTheDevice) {
  if (!fs::exists("/dev/net/tun")) {
    GTEST_SKIP() << "this kernel has no tun";
  }
  const std::string container = Start(Pod(nullptr, kRequested), [](auto& it) {
    Add(it, "/dev/net/tun", "/dev/net/tun");
  });
  EXPECT_EQ(Try(container, {"open", "/dev/net/tun", "rw"}), "OK");
}

// What the kubelet's writer of ConfigMaps and tokens does.
TEST_F(WorkloadShapesTest, AnUpdatedConfigMapIsSeen) {
  const std::string source = Here() + "/config";
  for (const char* version : {"/..1", "/..2"}) {
    fs::create_directories(source + version);
    std::ofstream(source + version + "/key") << version;
  }
  fs::create_symlink("..1", source + "/..data");
  fs::create_symlink("..data/key", source + "/key");
  const std::string container = Start(Pod(), [&](auto& it) {
    Add(it, source, "/config");
    it.mutable_mounts(0)->set_readonly(true);
  });
  EXPECT_EQ(Read(container, "/config/key"), "/..1");
  fs::create_symlink("..2", source + "/..new");
  fs::rename(source + "/..new", source + "/..data");
  EXPECT_EQ(Read(container, "/config/key"), "/..2");
}

}  // namespace
}  // namespace caisson::cri_test
