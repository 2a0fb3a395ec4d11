#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "runtime/identity/capabilities.h"
#include "shim/plan/container.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace cri = ::runtime::v1;
using keeper::v1::ContainerPlan;

ContainerDecision Plan(const GoodContainer& it) {
  absl::StatusOr<ContainerDecision> decision = it.Plan();
  EXPECT_TRUE(decision.ok()) << decision.status();
  return decision.ok() ? *std::move(decision) : ContainerDecision();
}

TEST(ContainerPlanTest, PlainContainerIsRootWithTheDefaults) {
  GoodContainer it;
  const ContainerDecision decision = Plan(it);
  EXPECT_EQ(decision.log_path, "/var/log/pods/default_web/app/0.log");
  EXPECT_EQ(decision.stop_signal, 15);
  EXPECT_EQ(decision.seccomp, Seccomp::kUnconfined);
  EXPECT_FALSE(decision.limits.memory_bytes.has_value());
  keeper::v1::Process wanted;
  wanted.add_argv("/bin/server");
  wanted.add_env("LANG=C");
  wanted.add_env("PATH=/image/bin");
  wanted.add_env("HOME=/root");
  wanted.add_env("HOSTNAME=web-host");
  wanted.set_working_directory("/");
  wanted.add_groups(0);
  wanted.add_groups(10);
  const identity::CapabilitySet all = identity::DefaultCapabilities();
  wanted.mutable_capabilities()->set_bounding(all);
  wanted.mutable_capabilities()->set_permitted(all);
  wanted.mutable_capabilities()->set_effective(all);
  keeper::v1::Rlimit& files = *wanted.add_rlimits();
  files.set_resource(RLIMIT_NOFILE);
  files.set_soft(1048576);
  files.set_hard(1048576);
  wanted.set_umask(022);
  EXPECT_EQ(decision.plan.process().SerializeAsString(),
            wanted.SerializeAsString());
  EXPECT_EQ(decision.plan.pid_mode(), ContainerPlan::PID_POD);
  EXPECT_FALSE(decision.plan.privileged());
  EXPECT_THAT(decision.plan.masked_paths(), Contains("/proc/kcore"));
  EXPECT_THAT(decision.plan.read_only_paths(), Contains("/proc/sys"));
}

TEST(ContainerPlanTest, CommandAndArgumentsReplaceTheImages) {
  struct Row {
    std::vector<std::string> command, args, argv;
  };

  const Row rows[] = {
      {{}, {}, {"/entry", "image-argument"}},
      {{}, {"a"}, {"/entry", "a"}},
      {{"/c"}, {}, {"/c"}},
      {{"/c"}, {"a", ""}, {"/c", "a", ""}},
  };
  for (const Row& row : rows) {
    GoodContainer it;
    it.config.mutable_command()->Assign(row.command.begin(), row.command.end());
    it.config.mutable_args()->Assign(row.args.begin(), row.args.end());
    EXPECT_THAT(Plan(it).plan.process().argv(),
                testing::ElementsAreArray(row.argv));
  }
}

TEST(ContainerPlanTest, RequestsVariablesGoBeforeTheImages) {
  GoodContainer it;
  it.image.env = {"A=image", "B=image", "no-equals-sign", "=x"};
  for (const auto& [key, value] :
       {std::pair<const char*, const char*>{"A", "request"},
        {"C", "with=equals"},
        {"A", "last"},
        {"LINES", "one\ntwo"}}) {
    cri::KeyValue& env = *it.config.add_envs();
    env.set_key(key);
    env.set_value(value);
  }
  it.config.set_tty(true);
  EXPECT_THAT(
      Plan(it).plan.process().env(),
      ElementsAre(
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "B=image", "C=with=equals", "A=last", "LINES=one\ntwo", "HOME=/root",
          "HOSTNAME=web-host", "TERM=xterm"));
}

// Every container has it, as /etc/hostname says it; image and request go
// before (containerd puts it first as well).
TEST(ContainerPlanTest, HostnameIsTheNameThatThePodHas) {
  GoodContainer it;
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME=web-host"));
  it.pod.clear_hostname();
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME=web"));
  it.pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME=node-1"));
  it.pod.set_hostname("web-host");
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME=node-1"));
  it.image.env = {"HOSTNAME="};
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME="));
  it.config.add_envs()->set_key("HOSTNAME");
  it.config.mutable_envs(0)->set_value("mine");
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOSTNAME=mine"));
}

// Catalogue C6 to C9.
struct UserRow {
  const char* name;
  void (*change)(GoodContainer& it);
  uint32_t uid, gid;
  std::vector<uint32_t> groups;
  const char* home;
};

const UserRow kUserRows[] = {
    {"image's user",
     [](GoodContainer& it) { it.image.user = "app"; },
     1000,
     1001,
     {1001, 10},
     "/home/app"},
    {"image's user and group",
     [](GoodContainer& it) { it.image.user = "app:wheel"; },
     1000,
     10,
     {10},
     "/home/app"},
    {"digits are a number, not the entry of that name",
     [](GoodContainer& it) { it.image.user = "1234"; },
     1234,
     0,
     {0},
     "/"},
    {"digits of a group are a number",
     [](GoodContainer& it) { it.image.user = "app:5678"; },
     1000,
     5678,
     {5678, 10},
     "/home/app"},
    {"greatest id",
     [](GoodContainer& it) { it.image.user = "2147483647:2147483647"; },
     2147483647,
     2147483647,
     {2147483647},
     "/"},
    {"request's user goes before the image's",
     [](GoodContainer& it) {
       it.image.user = "app";
       it.Security().mutable_run_as_user()->set_value(0);
     },
     0,
     0,
     {0, 10},
     "/root"},
    {"groups of the request are added",
     [](GoodContainer& it) {
       it.Security().set_run_as_username("app");
       it.Security().mutable_run_as_group()->set_value(7);
       it.Security().add_supplemental_groups(1234);
       it.Security().add_supplemental_groups(7);
     },
     1000,
     7,
     {7, 10, 1234},
     "/home/app"},
    {"strict: groups of the image don't count",
     [](GoodContainer& it) {
       it.Security().set_run_as_username("app");
       it.Security().add_supplemental_groups(1234);
       it.Security().set_supplemental_groups_policy(
           cri::SupplementalGroupsPolicy::Strict);
     },
     1000,
     1001,
     {1001, 1234},
     "/home/app"},
};

TEST(ContainerPlanTest, UsersAndGroupsAreResolved) {
  for (const UserRow& row : kUserRows) {
    GoodContainer it;
    row.change(it);
    const ContainerDecision decision = Plan(it);
    const keeper::v1::Process& process = decision.plan.process();
    EXPECT_EQ(process.uid(), row.uid) << row.name;
    EXPECT_EQ(process.gid(), row.gid) << row.name;
    EXPECT_THAT(process.groups(), testing::ElementsAreArray(row.groups))
        << row.name;
    EXPECT_THAT(process.env(), Contains(std::string("HOME=") + row.home))
        << row.name;
    EXPECT_THAT(decision.ids, Contains(row.uid)) << row.name;
    EXPECT_THAT(decision.ids, Contains(row.gid)) << row.name;
  }
}

// Catalogue C11, C12: nothing of it is written to a passwd file; text stays
// text.
TEST(ContainerPlanTest, HomeWithLineFeedIsPlainText) {
  GoodContainer it;
  cri::KeyValue& env = *it.config.add_envs();
  env.set_key("HOME");
  env.set_value("/root\nx::0:0::/:/bin/sh");
  EXPECT_THAT(Plan(it).plan.process().env(),
              Contains("HOME=/root\nx::0:0::/:/bin/sh"));
}

TEST(ContainerPlanTest, HomeOfPasswdWithControlCharactersIsNotUsed) {
  GoodContainer it;
  it.users.passwd = "root:x:0:0:root:/ro\rot:/bin/sh\n";
  EXPECT_THAT(Plan(it).plan.process().env(), Contains("HOME=/"));
}

TEST(ContainerPlanTest, ProcessOfAnotherUserHasOnlyAmbientCapabilities) {
  GoodContainer it;
  it.Security().mutable_run_as_user()->set_value(1000);
  EXPECT_EQ(Plan(it).plan.process().capabilities().effective(), 0u);
  it.Security().mutable_capabilities()->add_add_ambient_capabilities(
      "NET_BIND_SERVICE");
  const ContainerDecision decision = Plan(it);
  const keeper::v1::Capabilities& sets = decision.plan.process().capabilities();
  EXPECT_EQ(sets.effective(), uint64_t{1} << 10);
  EXPECT_EQ(sets.ambient(), uint64_t{1} << 10);
  EXPECT_EQ(sets.inheritable(), uint64_t{1} << 10);
}

TEST(ContainerPlanTest, PrivilegedHasNoSeccompNoMasksAndAllCapabilities) {
  GoodContainer it;
  it.Security().set_privileged(true);
  it.Security().mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  const ContainerDecision decision = Plan(it);
  EXPECT_EQ(decision.seccomp, Seccomp::kUnconfined);
  EXPECT_TRUE(decision.plan.privileged());
  EXPECT_THAT(decision.plan.masked_paths(), IsEmpty());
  EXPECT_THAT(decision.plan.read_only_paths(), IsEmpty());
  EXPECT_EQ(decision.plan.process().capabilities().bounding(),
            identity::AllCapabilities());
}

TEST(ContainerPlanTest, SeccompProfileIsTheOneAskedFor) {
  GoodContainer it;
  cri::SecurityProfile& profile = *it.Security().mutable_seccomp();
  profile.set_profile_type(cri::SecurityProfile::Unconfined);
  EXPECT_EQ(Plan(it).seccomp, Seccomp::kUnconfined);
  profile.set_profile_type(cri::SecurityProfile::RuntimeDefault);
  EXPECT_EQ(Plan(it).seccomp, Seccomp::kDefault);
  profile.set_profile_type(cri::SecurityProfile::Localhost);
  profile.set_localhost_ref("/var/lib/kubelet/seccomp/a.json");
  const ContainerDecision decision = Plan(it);
  EXPECT_EQ(decision.seccomp, Seccomp::kLocalhost);
  EXPECT_EQ(decision.seccomp_path, "/var/lib/kubelet/seccomp/a.json");
}

TEST(ContainerPlanTest, LimitsAreTakenOverAndZeroesAreNone) {
  GoodContainer it;
  EXPECT_FALSE(Plan(it).limits.cpu_quota.has_value());
  it.Resources().set_cpu_shares(512);
  it.Resources().set_cpu_quota(-1);
  it.Resources().set_cpu_period(50000);
  it.Resources().set_memory_limit_in_bytes(64 << 20);
  it.Resources().set_memory_swap_limit_in_bytes(65 << 20);
  it.Resources().set_oom_score_adj(-1000);
  it.Resources().set_cpuset_cpus("0-1,3");
  it.Resources().set_cpuset_mems("0");
  (*it.Resources().mutable_unified())["memory.high"] = "1000000";
  const ContainerDecision decision = Plan(it);
  EXPECT_EQ(decision.limits.cpu_shares, 512u);
  EXPECT_EQ(decision.limits.cpu_quota, -1);
  EXPECT_EQ(decision.limits.cpu_period, 50000u);
  EXPECT_EQ(decision.limits.memory_bytes, 64 << 20);
  EXPECT_EQ(decision.limits.swap_bytes, 65 << 20);
  EXPECT_EQ(decision.limits.cpuset_cpus, "0-1,3");
  EXPECT_EQ(decision.limits.cpuset_mems, "0");
  EXPECT_EQ(decision.limits.unified.at("memory.high"), "1000000");
  EXPECT_EQ(decision.plan.process().oom_score_adj(), -1000);
}

TEST(ContainerPlanTest, PidModesAreThoseOfTheRequest) {
  GoodContainer it;
  cri::NamespaceOption& options = *it.Security().mutable_namespace_options();
  options.set_pid(cri::CONTAINER);
  EXPECT_EQ(Plan(it).plan.pid_mode(), ContainerPlan::PID_CONTAINER);
  options.set_pid(cri::NODE);
  EXPECT_EQ(Plan(it).plan.pid_mode(), ContainerPlan::PID_NODE);
  options.set_pid(cri::TARGET);
  options.set_target_id("abc");
  EXPECT_EQ(Plan(it).plan.pid_mode(), ContainerPlan::PID_TARGET);
  EXPECT_EQ(Plan(it).plan.pid_target(), "abc");
}

TEST(ContainerPlanTest, StopSignalIsTheRequestsElseTheImages) {
  GoodContainer it;
  it.image.stop_signal = "SIGQUIT";
  EXPECT_EQ(Plan(it).stop_signal, 3);
  it.config.set_stop_signal(cri::SIGNAL_SIGUSR1);
  EXPECT_EQ(Plan(it).stop_signal, 10);
  it.config.clear_stop_signal();
  it.image.stop_signal = "nonsense";
  EXPECT_EQ(Plan(it).stop_signal, 15);
}

// procMount "Unmasked" arrives as a security context with empty lists.
TEST(ContainerPlanTest, TheUsualPathsAreForClientsWithoutSecurityContext) {
  GoodContainer it;
  it.thermal_throttle = {"/sys/devices/system/cpu/cpu7/thermal_throttle"};
  EXPECT_THAT(Plan(it).plan.masked_paths(),
              testing::AllOf(Contains("/proc/kcore"),
                             Contains(it.thermal_throttle[0])));
  it.Security();
  EXPECT_THAT(Plan(it).plan.masked_paths(), IsEmpty());
  EXPECT_THAT(Plan(it).plan.read_only_paths(), IsEmpty());
  it.Security().add_readonly_paths("/proc/sys");
  EXPECT_THAT(Plan(it).plan.masked_paths(), IsEmpty());
  EXPECT_THAT(Plan(it).plan.read_only_paths(), ElementsAre("/proc/sys"));
}

TEST(ContainerPlanTest, GivenMaskedPathsReplaceTheUsual) {
  GoodContainer it;
  it.Security().add_masked_paths("/proc/timer_list");
  const ContainerDecision decision = Plan(it);
  EXPECT_THAT(decision.plan.masked_paths(), ElementsAre("/proc/timer_list"));
  EXPECT_THAT(decision.plan.read_only_paths(), IsEmpty());
}

TEST(ContainerPlanTest, RestOfTheRequestIsTakenOver) {
  GoodContainer it;
  it.config.set_tty(true);
  it.config.set_stdin(true);
  it.config.set_stdin_once(true);
  it.config.clear_log_path();
  it.Security().set_no_new_privs(true);
  it.Security().set_readonly_rootfs(true);
  cri::Device& device = *it.config.add_devices();
  device.set_host_path("/dev/kvm");
  device.set_container_path("/dev/kvm");
  device.set_permissions("rw");
  const ContainerDecision decision = Plan(it);
  EXPECT_TRUE(decision.plan.process().tty());
  EXPECT_TRUE(decision.plan.process().no_new_privileges());
  EXPECT_TRUE(decision.plan.stdin_open());
  EXPECT_TRUE(decision.plan.stdin_once());
  EXPECT_TRUE(decision.plan.read_only_root());
  EXPECT_EQ(decision.log_path, "");
  ASSERT_EQ(decision.plan.devices_size(), 1);
  EXPECT_EQ(decision.plan.devices(0).permissions(), "rw");
  EXPECT_THAT(decision.plan.masked_paths(), IsEmpty());
}

}  // namespace
}  // namespace caisson::plan
