#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/kernel/hostname.h"
#include "tests/cri/fields/fields_fixture.h"

// What a container is given of the host's: names, files, nodes, procfs.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ContentFieldsTest : public FieldsTest {
 protected:
  void SetUp() override {
    FieldsTest::SetUp();
    if (runtime_ != nullptr) {
      Pull(kImage);
    }
  }

  // A container of busybox that sleeps.
  std::string StartShell(const std::string& pod,
                         const EditContainer& edit = nullptr) {
    return Start(pod, [&](cri::ContainerConfig& it) {
      it.mutable_image()->set_image(kImage);
      it.clear_command();
      it.add_command("sleep");
      it.add_command("3600");
      if (edit != nullptr) {
        edit(it);
      }
    });
  }

  // What a shell of an exec prints, both streams.
  std::string Sh(const std::string& container, const std::string& script) {
    cri::ExecSyncRequest request;
    request.set_container_id(container);
    for (const std::string& word : {std::string("sh"), std::string("-c")}) {
      request.add_cmd(word);
    }
    request.add_cmd(script);
    request.set_timeout(20);
    cri::ExecSyncResponse response;
    const grpc::Status status =
        Call(&cri::RuntimeService::Stub::ExecSync, request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.stdout() + response.stderr();
  }

  static void UseNode(cri::PodSandboxConfig& pod) {
    pod.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->set_network(cri::NODE);
  }
};

// containerd does so, and the kubelet sends such pods no name at all.
TEST_F(ContentFieldsTest, PodOnTheNodesNetworkHasTheNodesName) {
  const std::string node = kernel::Hostname();
  const std::string container = StartShell(Pod([](auto& it) {
    UseNode(it);
    it.set_hostname("not-this");
  }));
  EXPECT_EQ(Sh(container, "hostname; cat /etc/hostname; echo $HOSTNAME"),
            absl::StrCat(node, "\n", node, "\n", node, "\n"));
  const std::string own =
      StartShell(Pod([](auto& it) { it.set_hostname("web-host"); }));
  EXPECT_EQ(Sh(own, "hostname; cat /etc/hostname; echo $HOSTNAME"),
            "web-host\nweb-host\nweb-host\n");
}

struct stat FactsOf(const std::string& path) {
  struct stat facts = {};
  EXPECT_EQ(stat(path.c_str(), &facts), 0) << path;
  return facts;
}

// The machine's own null device as it was, whatever a container made of it: a
// test that fails must not leave the machine without one.
class HostsNull {
 public:
  HostsNull() : before_(FactsOf("/dev/null")) {}

  HostsNull(const HostsNull&) = delete;
  HostsNull& operator=(const HostsNull&) = delete;

  ~HostsNull() {
    EXPECT_EQ(chown("/dev/null", before_.st_uid, before_.st_gid), 0);
    EXPECT_EQ(chmod("/dev/null", before_.st_mode & 07777), 0);
  }

  const struct stat& before() const { return before_; }

 private:
  struct stat before_;
};

// Root of the host's users owns its nodes: were it the host's, chmod and chown
// in the container would change that for the whole machine.
TEST_F(ContentFieldsTest, NobodysInputIsTheContainersNullDevice) {
  const HostsNull machine;
  const struct stat& host = machine.before();
  for (const char* handler : {"", "test-host"}) {
    const std::string container = StartShell(Pod(nullptr, handler));
    const std::string process = absl::StrCat("/proc/", PidOf(container));
    const struct stat input = FactsOf(process + "/fd/0");
    const struct stat null = FactsOf(process + "/root/dev/null");
    EXPECT_EQ(input.st_rdev, makedev(1, 3));
    EXPECT_EQ(input.st_ino, null.st_ino) << handler;
    EXPECT_EQ(input.st_dev, null.st_dev) << handler;
    // And of an exec.
    EXPECT_EQ(Sh(container,
                 "[ $(stat -Lc %d:%i /proc/self/fd/0) = "
                 "$(stat -Lc %d:%i /dev/null) ] && echo same"),
              "same\n");
    // Changes that harm nobody, were they the host's.
    Sh(container, "chmod 1666 /proc/self/fd/0; chown 0:7 /proc/self/fd/0");
    const struct stat after = FactsOf("/dev/null");
    EXPECT_EQ(after.st_mode, host.st_mode) << handler;
    EXPECT_EQ(after.st_gid, host.st_gid) << handler;
    if (std::string(handler) == "test-host") {
      EXPECT_NE(input.st_dev, host.st_dev);
    }
  }
}

// CVE-2025-31133 and CVE-2025-52881: what stands at the name is not believed,
// and nobody is refused for it.
TEST_F(ContentFieldsTest, InputIsEmptyWhereNoNullDeviceIs) {
  const std::string source = directory_ + "/dev";
  for (const char* null : {"", "file", "link", "fifo"}) {
    fs::create_directories(source);
    const std::string path = source + "/null";
    if (std::string(null) == "file") {
      std::ofstream(path) << "not empty";
    } else if (std::string(null) == "link") {
      fs::create_symlink("/etc/passwd", path);
    } else if (std::string(null) == "fifo") {
      ASSERT_EQ(mkfifo(path.c_str(), 0666), 0);
    }
    const std::string container = StartShell(Pod(), [&](auto& it) {
      cri::Mount& mount = *it.add_mounts();
      mount.set_host_path(source);
      mount.set_container_path("/dev");
      // The usual ones need a null device.
      it.mutable_linux()->mutable_security_context();
    });
    const std::string input = absl::StrCat("/proc/", PidOf(container), "/fd/0");
    EXPECT_THAT(fs::read_symlink(input).string(), StartsWith("pipe:")) << null;
    EXPECT_EQ(Sh(container, "cat | wc -c; readlink /proc/$$/fd/0 | cut -c-5"),
              "0\npipe:\n")
        << null;
    fs::remove_all(source);
  }
}

// With other runtimes a container can fill the node's memory through them.
TEST_F(ContentFieldsTest, FilesOfThePodAreWritableAndBounded) {
  for (const char* handler : {"", "test-host"}) {
    const std::string container = StartShell(Pod(nullptr, handler));
    for (const char* file : {"hosts", "resolv.conf", "hostname"}) {
      const std::string path = absl::StrCat("/etc/", file);
      EXPECT_EQ(Sh(container, absl::StrCat("echo '# mine' >> ", path,
                                           " && tail -n 1 ", path)),
                "# mine\n");
      EXPECT_THAT(
          Sh(container,
             absl::StrCat("dd if=/dev/zero bs=4096 count=256 >> ", path)),
          HasSubstr("No space left"));
      EXPECT_EQ(Sh(container, absl::StrCat("[ $(stat -c %s ", path,
                                           ") -lt 100000 ] && echo small")),
                "small\n");
    }
  }
}

// As a directory of an Infiniband or GPU driver is named: runc takes all below
// it, but those of terminals and of other containers.
TEST_F(ContentFieldsTest, DirectoryOfDevicesIsAllOfThem) {
  const std::string source = directory_ + "/devices";
  fs::create_directories(source + "/sub");
  fs::create_directories(source + "/pts");
  const auto make = [&](const char* name, int minor) {
    ASSERT_EQ(mknod((source + name).c_str(), S_IFCHR | 0666, makedev(1, minor)),
              0);
    ASSERT_EQ(chmod((source + name).c_str(), 0666), 0);
  };
  make("/zero", 5);
  make("/sub/full", 7);
  make("/pts/zero", 5);
  make("/console", 5);
  std::ofstream(source + "/file") << "none";
  fs::create_symlink("/dev/zero", source + "/link");
  for (const char* handler : {"", "test-host"}) {
    const std::string container =
        StartShell(Pod(nullptr, handler), [&](auto& it) {
          cri::Device& device = *it.add_devices();
          device.set_host_path(source);
          device.set_container_path("/dev/mine");
          device.set_permissions("rw");
        });
    EXPECT_EQ(Sh(container, "cd /dev/mine && find . | sort"),
              ".\n./sub\n./sub/full\n./zero\n")
        << handler;
    EXPECT_EQ(Sh(container, "head -c 7 /dev/mine/zero | wc -c"), "7\n");
    EXPECT_THAT(Sh(container, "echo x > /dev/mine/sub/full"),
                HasSubstr("No space left"));
  }
  fs::remove_all(source);
}

TEST_F(ContentFieldsTest, ProgramsOfAnImageThatIsAVolumeRun) {
  const std::string container = StartShell(Pod(), [](auto& it) {
    cri::Mount& mount = *it.add_mounts();
    mount.mutable_image()->set_image(kImage);
    mount.set_container_path("/image");
    mount.set_readonly(true);
  });
  EXPECT_EQ(Sh(container, "/image/bin/busybox echo runs"), "runs\n");
  EXPECT_THAT(Sh(container, "touch /image/x"), HasSubstr("Read-only"));
}

TEST_F(ContentFieldsTest, HostsProcfsIsForWhoIsInItsPidNamespace) {
  const auto mount = [](cri::ContainerConfig& it) {
    cri::Mount& proc = *it.add_mounts();
    proc.set_host_path("/proc");
    proc.set_container_path("/proc");
    cri::LinuxContainerSecurityContext& security =
        *it.mutable_linux()->mutable_security_context();
    security.set_privileged(true);
    security.mutable_namespace_options()->set_pid(cri::NODE);
  };
  const auto host = [](cri::PodSandboxConfig& it) {
    cri::LinuxSandboxSecurityContext& security =
        *it.mutable_linux()->mutable_security_context();
    security.set_privileged(true);
    security.mutable_namespace_options()->set_pid(cri::NODE);
  };
  const std::string container = StartShell(Pod(host), mount);
  EXPECT_EQ(Sh(container,
               absl::StrCat("[ -e /proc/", getpid(), "/comm ] && echo there")),
            "there\n");
  // It is the host's instance, and not one of the container's own.
  EXPECT_EQ(Sh(container, "stat -c %d /proc"),
            absl::StrCat(FactsOf("/proc").st_dev, "\n"));
  // Who is in a pid namespace of its own is not let in.
  const grpc::Status status = TryCreate(Pod(), [&](auto& it) {
    mount(it);
    it.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->set_pid(cri::CONTAINER);
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("lies in /proc"));
}

}  // namespace
}  // namespace caisson::cri_test
