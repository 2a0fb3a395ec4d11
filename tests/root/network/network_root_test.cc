#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/network/cni.h"

namespace caisson::network {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPlugins[] = "/usr/lib/cni";

// What a shell command prints.
std::string Shell(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  char buffer[1024];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    text += buffer;
  }
  pclose(pipe);
  return text;
}

// The "host" is a network and mount namespace of this test: bridges, NAT
// rules, forwarding and pins vanish with it, whatever fails.
class NetworkRootTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
        mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
      isolated_ = true;
      Shell("ip link set lo up");
    }
  }

  void SetUp() override {
    if (!isolated_) {
      GTEST_SKIP() << "needs root";
    }
    std::string name = testing::TempDir() + "/cnirootXXXXXX";
    root_ = mkdtemp(name.data());
    pin_ = root_ + "/netns/pod";
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      const char result = unshare(CLONE_NEWNET) == 0 ? 1 : 0;
      (void)!write(fds[1], &result, 1);
      pause();
      _exit(0);
    }
    char result = 0;
    ASSERT_EQ(read(fds[0], &result, 1), 1);
    close(fds[0]);
    close(fds[1]);
    netns_ = UniqueFd(open(absl::StrCat("/proc/", pid, "/ns/net").c_str(),
                           O_RDONLY | O_CLOEXEC));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    ASSERT_TRUE(netns_.ok() && result == 1);
  }

  void TearDown() override {
    if (isolated_) {
      EXPECT_TRUE(UnpinNamespace(pin_).ok());
      std::error_code error;
      std::filesystem::remove_all(root_, error);
    }
  }

  void Configure() {
    std::filesystem::create_directory(root_ + "/conf");
    std::ofstream(root_ + "/conf/10.conflist") << absl::StrCat(
        R"({"name": "cst", "cniVersion": "1.0.0", "plugins": [
           {"type": "bridge", "bridge": ")",
        bridge_, R"(",
            "isGateway": true, "ipMasq": true,
            "ipam": {"type": "host-local", "dataDir": ")",
        root_, R"(/ipam",
                     "ranges": [[{"subnet": "10.213.7.0/24"}]],
                     "routes": [{"dst": "0.0.0.0/0"}]}},
           {"type": "portmap", "capabilities": {"portMappings": true}}]})");
  }

  std::string Leases() { return Shell("ls " + root_ + "/ipam/cst | grep ^10"); }

  static inline bool isolated_ = false;
  std::string root_;
  std::string pin_;
  std::string bridge_ = absl::StrCat("cst", getpid());
  UniqueFd netns_;
};

TEST_F(NetworkRootTest, APinKeepsTheNamespaceAndUnpinIsIdempotent) {
  struct stat before = {};
  struct stat after = {};
  ASSERT_EQ(fstat(netns_.get(), &before), 0);
  absl::Status status = PinNamespace(netns_.get(), pin_);
  ASSERT_TRUE(status.ok()) << status;
  netns_.reset();
  ASSERT_EQ(stat(pin_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(UnpinNamespace(pin_).ok());
  EXPECT_TRUE(UnpinNamespace(pin_).ok());
  EXPECT_NE(stat(pin_.c_str(), &after), 0);
}

TEST_F(NetworkRootTest, OnlyNetworkNamespacesArePinned) {
  UniqueFd other(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(PinNamespace(other.get(), pin_).code(),
            absl::StatusCode::kInvalidArgument);
  struct stat info;
  EXPECT_NE(stat(pin_.c_str(), &info), 0);
}

TEST_F(NetworkRootTest, BridgeAndPortmapComeAndGo) {
  if (access("/usr/lib/cni/bridge", X_OK) != 0) {
    GTEST_SKIP() << "needs the CNI plugins in " << kPlugins;
  }
  Configure();
  absl::Status status = PinNamespace(netns_.get(), pin_);
  ASSERT_TRUE(status.ok()) << status;
  Cni::Options options;
  options.conf_dir = root_ + "/conf";
  options.bin_dirs = {kPlugins};
  options.cache_dir = root_ + "/cache";
  const auto cni = Cni::Create(options);
  status = cni->CheckReady();
  ASSERT_TRUE(status.ok()) << status;
  Attachment pod;
  pod.pod_id = "cst0123456789";
  pod.netns_path = pin_;
  pod.pod_name = "web";
  pod.pod_namespace = "default";
  pod.pod_uid = "1";
  pod.ports = {{18080, 80, "tcp", ""}};
  absl::Time start = absl::Now();
  absl::StatusOr<Addresses> addresses =
      cni->Add(pod, Deadline::After(absl::Seconds(60)));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  std::printf("ADD %s\n", absl::FormatDuration(absl::Now() - start).c_str());
  ASSERT_EQ(addresses->ips.size(), 1u);
  const std::string ip = addresses->ips[0];
  EXPECT_THAT(Shell("nsenter --net=" + pin_ + " ip -4 addr show eth0"),
              HasSubstr(ip + "/24"));
  EXPECT_THAT(Shell("iptables -t nat -S"), HasSubstr(ip));
  EXPECT_THAT(Shell("iptables -t nat -S"), HasSubstr("18080"));
  EXPECT_THAT(Leases(), HasSubstr(ip));
  EXPECT_THAT(Shell("ip -o link"), HasSubstr("veth"));
  start = absl::Now();
  status = cni->Delete(pod, Deadline::After(absl::Seconds(60)));
  EXPECT_TRUE(status.ok()) << status;
  std::printf("DEL %s\n", absl::FormatDuration(absl::Now() - start).c_str());
  EXPECT_THAT(Shell("nsenter --net=" + pin_ + " ip -o link"),
              Not(HasSubstr("eth0")));
  EXPECT_THAT(Shell("iptables -t nat -S"), Not(HasSubstr(ip)));
  EXPECT_THAT(Shell("iptables -t nat -S"), Not(HasSubstr("18080")));
  EXPECT_EQ(Leases(), "");
  EXPECT_THAT(Shell("ip -o link"), Not(HasSubstr("veth")));
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/cache"));
  status = cni->Delete(pod, Deadline::After(absl::Seconds(60)));
  EXPECT_TRUE(status.ok()) << status;
}

// Pins, interfaces and rules went with the machine; leases are on a disk.
TEST_F(NetworkRootTest, AfterARebootDeleteFreesTheAddress) {
  if (access("/usr/lib/cni/bridge", X_OK) != 0) {
    GTEST_SKIP() << "needs the CNI plugins in " << kPlugins;
  }
  Configure();
  ASSERT_TRUE(PinNamespace(netns_.get(), pin_).ok());
  Cni::Options options;
  options.conf_dir = root_ + "/conf";
  options.bin_dirs = {kPlugins};
  options.cache_dir = root_ + "/cache";
  Attachment pod;
  pod.pod_id = "cstreboot";
  pod.netns_path = pin_;
  pod.ports = {{18081, 80, "tcp", ""}};
  const Deadline deadline = Deadline::After(absl::Seconds(60));
  absl::StatusOr<Addresses> addresses =
      Cni::Create(options)->Add(pod, deadline);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_THAT(Leases(), HasSubstr(addresses->ips[0]));
  netns_.reset();
  ASSERT_TRUE(UnpinNamespace(pin_).ok());
  Shell("ip link delete " + bridge_ + "; iptables -t nat -F");
  const auto cni = Cni::Create(options);
  const absl::StatusOr<std::vector<std::string>> pods = cni->CachedPods();
  ASSERT_TRUE(pods.ok()) << pods.status();
  ASSERT_THAT(*pods, ElementsAre("cstreboot"));
  const absl::StatusOr<Attachment> kept = cni->CachedAttachment("cstreboot");
  ASSERT_TRUE(kept.ok()) << kept.status();
  const absl::Status status = cni->Delete(*kept, deadline);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Leases(), "");
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/cache"));
}

// The same when not even the cache was left.
TEST_F(NetworkRootTest, TheRecordAloneFreesTheAddress) {
  if (access("/usr/lib/cni/bridge", X_OK) != 0) {
    GTEST_SKIP() << "needs the CNI plugins in " << kPlugins;
  }
  Configure();
  ASSERT_TRUE(PinNamespace(netns_.get(), pin_).ok());
  Cni::Options options;
  options.conf_dir = root_ + "/conf";
  options.bin_dirs = {kPlugins};
  options.cache_dir = root_ + "/cache";
  Attachment pod;
  pod.pod_id = "cstlost";
  pod.netns_path = pin_;
  const auto cni = Cni::Create(options);
  const Deadline deadline = Deadline::After(absl::Seconds(60));
  ASSERT_TRUE(cni->Add(pod, deadline).ok());
  EXPECT_NE(Leases(), "");
  std::filesystem::remove_all(root_ + "/cache");
  netns_.reset();
  ASSERT_TRUE(UnpinNamespace(pin_).ok());
  Shell("ip link delete " + bridge_ + "; iptables -t nat -F");
  const absl::Status status = cni->Delete(pod, deadline);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Leases(), "");
}

TEST_F(NetworkRootTest, AFailedAddLeavesNothing) {
  if (access("/usr/lib/cni/bridge", X_OK) != 0) {
    GTEST_SKIP() << "needs the CNI plugins in " << kPlugins;
  }
  Configure();
  ASSERT_TRUE(PinNamespace(netns_.get(), pin_).ok());
  std::filesystem::create_directory(root_ + "/bin");
  for (const char* name : {"bridge", "host-local"}) {
    std::filesystem::create_symlink(absl::StrCat(kPlugins, "/", name),
                                    root_ + "/bin/" + name);
  }
  const std::string broken = root_ + "/bin/portmap";
  std::ofstream(broken) << "#!/bin/sh\n[ $CNI_COMMAND = DEL ]\n";
  chmod(broken.c_str(), 0755);
  Cni::Options options;
  options.conf_dir = root_ + "/conf";
  options.bin_dirs = {root_ + "/bin"};
  options.cache_dir = root_ + "/cache";
  Attachment pod;
  pod.pod_id = "cstbroken";
  pod.netns_path = pin_;
  const absl::Status status = Cni::Create(options)
                                  ->Add(pod, Deadline::After(absl::Seconds(60)))
                                  .status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("plugin portmap: ADD"));
  EXPECT_EQ(Leases(), "");
  EXPECT_THAT(Shell("ip -o link"), Not(HasSubstr("veth")));
  EXPECT_THAT(Shell("iptables -t nat -S"), Not(HasSubstr("10.213.7.")));
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/cache"));
}

}  // namespace
}  // namespace caisson::network
