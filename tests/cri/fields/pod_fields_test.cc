#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/cri/fields/fields_fixture.h"

// LinuxPodSandboxConfig: what each field does to the containers of the pod.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

cri::LinuxSandboxSecurityContext& Security(cri::PodSandboxConfig& pod) {
  return *pod.mutable_linux()->mutable_security_context();
}

cri::NamespaceOption& Namespaces(cri::PodSandboxConfig& pod) {
  return *Security(pod).mutable_namespace_options();
}

cri::NamespaceOption& Namespaces(cri::ContainerConfig& container) {
  return *container.mutable_linux()
              ->mutable_security_context()
              ->mutable_namespace_options();
}

uint64_t Namespace(const Json& report, const char* name) {
  return report["namespaces"][name];
}

TEST_F(FieldsTest, CgroupParentHoldsTheContainers) {
  const bool systemd = config_.cgroup.driver == "systemd";
  const std::string& base = config_.cgroup.parent;
  const std::string container = Start(Pod([&](auto& pod) {
    pod.mutable_linux()->set_cgroup_parent(systemd ? base + "-fields.slice"
                                                   : "/" + base);
  }));
  EXPECT_THAT(CgroupOf(container),
              StartsWith(systemd ? absl::StrCat(base, ".slice/", base,
                                                "-fields.slice/caisson-")
                                 : absl::StrCat(base, "/", container)));
  // Inside, its own is the root.
  EXPECT_FALSE(
      absl::StrContains(std::string(Report(container)["cgroup"]), base));
}

TEST_F(FieldsTest, NetworkNamespaceIsThePodsOrTheNodes) {
  const std::string pod = Pod();
  const uint64_t own = Namespace(Report(Start(pod)), "net");
  EXPECT_NE(own, HostNamespace("net"));
  EXPECT_EQ(Namespace(Report(Start(pod)), "net"), own);
  const std::string node =
      Pod([](auto& it) { Namespaces(it).set_network(cri::NODE); });
  EXPECT_EQ(
      Namespace(
          Report(Start(
              node, [](auto& it) { Namespaces(it).set_network(cri::NODE); })),
          "net"),
      HostNamespace("net"));
}

TEST_F(FieldsTest, IpcNamespaceIsThePodsOrTheNodes) {
  const std::string pod = Pod();
  const uint64_t own = Namespace(Report(Start(pod)), "ipc");
  EXPECT_NE(own, HostNamespace("ipc"));
  EXPECT_EQ(Namespace(Report(Start(pod)), "ipc"), own);
  const std::string node =
      Pod([](auto& it) { Namespaces(it).set_ipc(cri::NODE); });
  EXPECT_EQ(
      Namespace(Report(Start(
                    node, [](auto& it) { Namespaces(it).set_ipc(cri::NODE); })),
                "ipc"),
      HostNamespace("ipc"));
}

TEST_F(FieldsTest, PidNamespaceIsTheContainersThePodsTheNodesOrATargets) {
  const std::string pod =
      Pod([](auto& it) { Namespaces(it).set_pid(cri::POD); });
  const auto mode = [](cri::NamespaceMode value) {
    return [value](cri::ContainerConfig& it) { Namespaces(it).set_pid(value); };
  };
  const std::string alone = Start(pod, mode(cri::CONTAINER));
  const std::string first = Start(pod, mode(cri::POD));
  const std::string second = Start(pod, mode(cri::POD));
  const uint64_t own = Namespace(Report(alone), "pid");
  const uint64_t shared = Namespace(Report(first), "pid");
  EXPECT_NE(own, HostNamespace("pid"));
  EXPECT_NE(own, shared);
  EXPECT_NE(shared, HostNamespace("pid"));
  EXPECT_EQ(Namespace(Report(second), "pid"), shared);
  // The pod's own init is 1 there, and reaps.
  EXPECT_EQ(Try(first, {"stat", "/proc/1"}), "OK");
  const std::string debugger = Start(pod, [&](auto& it) {
    Namespaces(it).set_pid(cri::TARGET);
    Namespaces(it).set_target_id(alone);
  });
  EXPECT_EQ(Namespace(Report(debugger), "pid"), own);
  const std::string node =
      Pod([](auto& it) { Namespaces(it).set_pid(cri::NODE); });
  EXPECT_EQ(Namespace(Report(Start(node, mode(cri::NODE))), "pid"),
            HostNamespace("pid"));
}

TEST_F(FieldsTest, UserNamespaceIsAsGivenOrTheNodes) {
  // A kubelet gives ranges from anywhere, up to the kernel's last id.
  for (const uint32_t first : {1900000000u, 4294967295u - 65536}) {
    const auto given = [&](auto& it) {
      cri::UserNamespace& users = *Namespaces(it).mutable_userns_options();
      users.set_mode(cri::POD);
      for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
        map->set_container_id(0);
        map->set_host_id(first);
        map->set_length(65536);
      }
    };
    const std::string container = Start(Pod(given, "caisson-requested"), given);
    const Json report = Report(container);
    const Json map = Json::array({Json::array({0, first, 65536})});
    EXPECT_EQ(report["uid_map"], map);
    EXPECT_EQ(report["gid_map"], map);
    EXPECT_NE(Namespace(report, "user"), HostNamespace("user"));
    struct stat facts = {};
    EXPECT_EQ(stat(absl::StrCat("/proc/", PidOf(container)).c_str(), &facts),
              0);
    EXPECT_EQ(facts.st_uid, first);
  }
  const auto node = [](auto& it) {
    Namespaces(it).mutable_userns_options()->set_mode(cri::NODE);
  };
  EXPECT_EQ(
      Namespace(Report(Start(Pod(node, "caisson-requested"), node)), "user"),
      HostNamespace("user"));
  // The default handler's policy: a range all the same.
  EXPECT_NE(Namespace(Report(Start(Pod(node), node)), "user"),
            HostNamespace("user"));
}

// The feature user_namespaces_host_network: /sys is that of a network namespace
// which is not theirs.
TEST_F(FieldsTest, UsersOfTheirOwnCanHaveTheHostsNetwork) {
  cri::StatusResponse status;
  Call(&cri::RuntimeService::Stub::Status, {}, status);
  EXPECT_TRUE(status.features().user_namespaces_host_network());
  const auto given = [&](auto& it) {
    Namespaces(it).set_network(cri::NODE);
    cri::UserNamespace& users = *Namespaces(it).mutable_userns_options();
    users.set_mode(cri::POD);
    for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
      map->set_container_id(0);
      map->set_host_id(1900000000);
      map->set_length(65536);
    }
  };
  const std::string container = Start(Pod(given), given);
  const Json report = Report(container);
  EXPECT_EQ(Namespace(report, "net"), HostNamespace("net"));
  EXPECT_NE(Namespace(report, "user"), HostNamespace("user"));
  EXPECT_EQ(Try(container, {"write", "/sys/kernel/profiling", "0"}), "EROFS");
  EXPECT_THAT(Read(container, "/sys/class/net/lo/address"),
              StartsWith("00:00:00:00:00:00"));
}

TEST_F(FieldsTest, PrivilegedPodsHaveTheNodesIds) {
  const std::string pod =
      Pod([](auto& it) { Security(it).set_privileged(true); });
  EXPECT_EQ(Namespace(Report(Start(pod)), "user"), HostNamespace("user"));
}

TEST_F(FieldsTest, ContainersOfAPlainPodCannotBePrivilegedOnTheNode) {
  const std::string container = Start(Pod(), [](auto& it) {
    it.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  EXPECT_NE(Namespace(Report(container), "user"), HostNamespace("user"));
}

// Run-as users, groups, profiles and a read-only root of the sandbox are those
// of its own process.  There is none here that they could hold for.
TEST_F(FieldsTest, ThePodHasNoProcessOfItsOwn) {
  const std::string pod = Pod([](auto& it) {
    cri::LinuxSandboxSecurityContext& security = Security(it);
    security.mutable_run_as_user()->set_value(1000);
    security.mutable_run_as_group()->set_value(1000);
    security.add_supplemental_groups(2000);
    security.set_supplemental_groups_policy(
        cri::SupplementalGroupsPolicy::Strict);
    security.set_readonly_rootfs(true);
    security.mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::RuntimeDefault);
    security.mutable_apparmor()->set_profile_type(
        cri::SecurityProfile::Unconfined);
  });
  const std::string container = Start(pod);
  // Nothing but the container's own two processes is inside.
  const Json report = Report(container);
  EXPECT_EQ(report["ppid"], 0);
  EXPECT_EQ(Try(container, {"stat", "/proc/1"}), "OK");
  // And the container's user is what its own configuration says.
  EXPECT_EQ(report["uid"], 0);
}

TEST_F(FieldsTest, ExtraIdsOfThePodAreMapped) {
  const std::string pod = Pod([](auto& it) {
    Security(it).mutable_run_as_user()->set_value(1000650000);
    Security(it).add_supplemental_groups(70000);
  });
  const std::string container = Start(pod, [](auto& it) {
    it.mutable_linux()
        ->mutable_security_context()
        ->mutable_run_as_user()
        ->set_value(1000650000);
  });
  EXPECT_EQ(Report(container)["uid"], 1000650000);
}

TEST_F(FieldsTest, SysctlsAreSetInThePodsNamespacesOnly) {
  const std::string name = "/proc/sys/kernel/shm_rmid_forced";
  const std::string container = Start(Pod([](auto& it) {
    (*it.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
    (*it.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
  }));
  EXPECT_EQ(Read(container, name), "1");
  EXPECT_EQ(Read(container, "/proc/sys/net/ipv4/ip_forward"), "1");
  EXPECT_EQ(Read(Start(Pod()), name), "0");
}

TEST_F(FieldsTest, ResourcesAndOverheadLimitThePod) {
  const std::string container = Start(Pod([](auto& it) {
    it.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64
                                                                       << 20);
    it.mutable_linux()->mutable_overhead()->set_memory_limit_in_bytes(16 << 20);
  }));
  // The parent's file: no container sees it.
  const std::string cgroup = CgroupOf(container);
  const std::string pod = cgroup.substr(0, cgroup.rfind('/'));
  const std::string file =
      layout_.is_v2()
          ? layout_.unified + "/" + pod + "/memory.max"
          : layout_.v1.at("memory") + "/" + pod + "/memory.limit_in_bytes";
  FILE* const in = fopen(file.c_str(), "re");
  ASSERT_NE(in, nullptr) << file;
  long long limit = 0;
  EXPECT_EQ(fscanf(in, "%lld", &limit), 1);
  fclose(in);
  EXPECT_EQ(limit, 80 << 20);
}

}  // namespace
}  // namespace caisson::cri_test
