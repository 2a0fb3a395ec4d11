#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fields/audit.h"
#include "tests/security/security_fixture.h"
#include "tests/support/machine.h"

// Invariants of the catalogue (tests/security/catalogue.md) that are seen best
// from here; invariants/table.toml says where each of the others is asserted.
namespace caisson::cri_test {
namespace {

using ::caisson::testing::ReadFile;
using ::caisson::testing::ShellOutput;

class InvariantTest : public SecurityTest {};

CAISSON_BOTH_MODES(InvariantTest);

// A directory that serves as a volume at /dev: `null` is a file.
std::string FalseDevices(const std::string& directory) {
  const std::string dev = directory + "/dev";
  for (const char* name : {"/pts", "/shm", "/mqueue"}) {
    std::filesystem::create_directories(dev + name);
  }
  std::ofstream(dev + "/null") << "not a device";
  return dev;
}

TEST_P(InvariantTest, I5AFalseNullDeviceFailsTheCreation) {
  const std::string pod = ModePod();
  const std::string dev = FalseDevices(directory_);
  const grpc::Status status =
      TryCreate(pod, [&dev](cri::ContainerConfig& config) {
        cri::Mount& mount = *config.add_mounts();
        mount.set_host_path(dev);
        mount.set_container_path("/dev");
        config.mutable_linux()->mutable_security_context()->add_masked_paths(
            "/proc/version");
      });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find(
                "hide-kernel-paths: check /dev/null: not the null device"),
            std::string::npos)
      << status.error_message();
  EXPECT_EQ(ReadFile(dev + "/null"), "not a device");
}

// Another process with the same pid namespace; waits for it.
pid_t AwaitSibling(pid_t init) {
  const auto space = [](pid_t pid) {
    std::error_code error;
    return std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/ns/pid"),
                                         error)
        .string();
  };
  const std::string wanted = space(init);
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (absl::Now() < end) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(entry.path().filename().string(), &pid) &&
          pid != init && space(pid) == wanted &&
          ReadFile(absl::StrCat("/proc/", pid, "/comm")) ==
              ReadFile(absl::StrCat("/proc/", init, "/comm"))) {
        return pid;
      }
    }
  }
  return -1;
}

TEST_P(InvariantTest, I8I9I19AnExecIsAsItsContainerIs) {
  cri::PodSandboxConfig pod_config;
  const std::string pod =
      ModePod([&](cri::PodSandboxConfig& config) { pod_config = config; });
  cri::ContainerConfig container_config;
  const std::string container = Start(pod, [&](cri::ContainerConfig& config) {
    cri::LinuxContainerSecurityContext& security =
        *config.mutable_linux()->mutable_security_context();
    security.mutable_run_as_user()->set_value(1000);
    security.mutable_run_as_group()->set_value(1001);
    security.add_supplemental_groups(1002);
    security.set_no_new_privs(true);
    security.mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::RuntimeDefault);
    security.mutable_capabilities()->add_add_ambient_capabilities(
        "NET_BIND_SERVICE");
    container_config = config;
  });
  const Json info = Info(container);
  const pid_t init = info["pid"];
  std::thread exec([&] {
    cri::ExecSyncRequest request;
    request.set_container_id(container);
    request.add_cmd("/caisson-probe");
    request.add_cmd("sleep");
    request.set_timeout(60);
    cri::ExecSyncResponse response;
    Call(&cri::RuntimeService::Stub::ExecSync, request, response);
  });
  const pid_t pid = AwaitSibling(init);
  EXPECT_GT(pid, 0);
  if (pid > 0) {
    AuditProcess(pid, info, pod_config, container_config);
    for (const char* name :
         {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
      const auto inode = [name](pid_t of) {
        return ShellOutput(absl::StrCat("readlink /proc/", of, "/ns/", name));
      };
      EXPECT_EQ(inode(pid), inode(init)) << name;
    }
    kill(pid, SIGKILL);
  }
  exec.join();
}

// What a process can do, without what differs from container to container.
Json Powers(Json report) {
  Json powers;
  for (const char* key :
       {"uid", "gid", "groups", "capabilities", "seccomp", "seccomp_filters",
        "no_new_privileges", "environment", "fds", "signals_ignored"}) {
    EXPECT_TRUE(report.contains(key)) << key;
    powers[key] = report[key];
  }
  for (Json& fd : powers["fds"]) {
    fd["target"] = fd["target"].get<std::string>().substr(0, 5);
  }
  for (const Json& mount : report["mounts"]) {
    powers["mounts"].push_back({mount["mountpoint"], mount["fstype"]});
  }
  return powers;
}

TEST_P(InvariantTest, I12LabelsOfAnImageSetNothing) {
  const std::string plain = Image({{{"name", "plain"}, {"data", "x"}}});
  const Json labels = {
      {"io.kubernetes.cri.sandbox-id", "x"},
      {"io.kubernetes.container.privileged", "true"},
      {"io.kubernetes.cri-o.Devices", "/dev/sda"},
      {"io.kubernetes.cri-o.userns-mode", "host"},
      {"io.caisson.privileged", "true"},
      {"io.caisson.host-users", "true"},
      {"run.oci.hooks", "/bin/true"},
      {"run.oci.systemd.force_cgroup_v1", "/sys/fs/cgroup"},
      {"cdi.k8s.io/devices", "vendor.com/device=all"},
      {"seccomp.security.alpha.kubernetes.io/pod", "unconfined"}};
  const std::string labelled = Image({{{"name", "plain"}, {"data", "x"}}},
                                     {{"Labels", labels},
                                      {"Annotations", labels},
                                      {"Privileged", true},
                                      {"Volumes", {{"/etc", Json::object()}}},
                                      {"Hostname", "other"},
                                      {"Devices", {"/dev/sda"}}});
  const std::string pod = ModePod();
  Json powers[2];
  for (int i = 0; i < 2; ++i) {
    const std::string container = Start(pod, [&](cri::ContainerConfig& config) {
      config.mutable_image()->set_image(i == 0 ? plain : labelled);
    });
    powers[i] = Powers(Report(container));
  }
  EXPECT_EQ(powers[0], powers[1]);
}

// Of the files that a request names, and the daemon reads.
TEST_P(InvariantTest, I15ASeccompProfileIsReadWithABound) {
  const std::string pod = ModePod();
  const std::string large = directory_ + "/large.json";
  std::ofstream(large) << std::string((1 << 20) + 1, ' ');
  const std::string pipe = directory_ + "/pipe.json";
  unlink(pipe.c_str());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const std::pair<std::string, std::string> kProfiles[] = {
      {"/dev/zero", "read /dev/zero: not a regular file"},
      {pipe, ": not a regular file"},
      {large, ": longer than 1048576 bytes"}};
  for (const auto& [path, why] : kProfiles) {
    const grpc::Status status =
        TryCreate(pod, [&path = path](cri::ContainerConfig& config) {
          cri::SecurityProfile& profile = *config.mutable_linux()
                                               ->mutable_security_context()
                                               ->mutable_seccomp();
          profile.set_profile_type(cri::SecurityProfile::Localhost);
          profile.set_localhost_ref(path);
        });
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << path;
    EXPECT_NE(status.error_message().find(why), std::string::npos)
        << status.error_message();
  }
}

// Names below the daemon's directories that `user` can read or list.
std::string Readable(const std::string& user, const config::Config& config) {
  return ShellOutput(absl::StrCat(
      "setpriv --reuid ", user, " --regid ", user, " --clear-groups find ",
      config.root, " ", config.state,
      " -mindepth 1 \\( -readable -o -writable \\) 2>/dev/null | sort"));
}

TEST_P(InvariantTest, I18StateIsTheDaemonsAlone) {
  const std::string container = Start(ModePod());
  const Json map = Info(container)["uidMap"];
  std::vector<std::string> users = {"65534"};
  if (OwnUsers()) {
    users.push_back(absl::StrCat(map[0]["hostId"].get<uint64_t>()));
  }
  // There is much to be seen for root.
  EXPECT_GT(Readable("0", config_).size(), 2000u);
  // Empty mount points for all containers, and nothing else.
  const std::string base = config_.state + "/base";
  for (const std::string& user : users) {
    EXPECT_EQ(Readable(user, config_),
              ShellOutput(absl::StrCat("find ", base, " | sort")))
        << user;
  }
  EXPECT_EQ(ShellOutput("find " + base + " -type f -size +0"), "");
  EXPECT_EQ(
      ShellOutput(absl::StrCat("cd ", config_.state,
                               " && stat -c '%a %n' ../root "
                               "../root/trash caisson.sock keepers pods layers "
                               "netns")),
      "700 ../root\n700 ../root/trash\n600 caisson.sock\n700 keepers\n"
      "700 pods\n700 layers\n700 netns");
}

}  // namespace
}  // namespace caisson::cri_test
