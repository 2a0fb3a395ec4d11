#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "shim/plan/pod.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::runtime::v1::RunPodSandboxRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
namespace cri = ::runtime::v1;

cri::LinuxSandboxSecurityContext& Security(RunPodSandboxRequest& request) {
  return *request.mutable_config()->mutable_linux()->mutable_security_context();
}

cri::NamespaceOption& Namespaces(RunPodSandboxRequest& request) {
  return *Security(request).mutable_namespace_options();
}

PodDecision Plan(const RunPodSandboxRequest& request) {
  absl::StatusOr<PodDecision> decision =
      PlanPod(request, config::Config(), Selinux(), "node-1");
  EXPECT_TRUE(decision.ok()) << decision.status();
  return decision.ok() ? *std::move(decision) : PodDecision();
}

TEST(PodPlanTest, PodOfTheDefaultHandlerGetsEverythingOfItsOwn) {
  const PodDecision decision = Plan(GoodPod());
  EXPECT_EQ(decision.handler, "caisson");
  EXPECT_EQ(decision.users, UserNamespace::kLeased);
  EXPECT_THAT(decision.given_uids, IsEmpty());
  EXPECT_THAT(decision.extra_ids, IsEmpty());
  EXPECT_EQ(decision.cgroup_parent, "");
  EXPECT_EQ(decision.resolv_conf, "");
  EXPECT_THAT(decision.ports, IsEmpty());
  keeper::v1::PodPlan plan;
  plan.set_own_network(true);
  plan.set_own_ipc(true);
  plan.set_own_uts(true);
  plan.set_hostname("web-host");
  plan.set_shm_bytes(67108864);
  keeper::v1::PodPlan rest = decision.plan;
  rest.clear_sysctls();
  EXPECT_EQ(rest.SerializeAsString(), plan.SerializeAsString());
  EXPECT_THAT(
      decision.plan.sysctls(),
      UnorderedElementsAre(Pair("net.ipv4.ip_unprivileged_port_start", "0"),
                           Pair("net.ipv4.ping_group_range", "0 65535")));
}

// Who has the host's user namespace, and why.
TEST(PodPlanTest, OnlyWhatAsksForTheHostByNameGetsItsUsers) {
  struct Row {
    const char* name;
    void (*change)(RunPodSandboxRequest& request);
    UserNamespace users;
  };

  const Row rows[] = {
      {"NODE for users alone",
       [](RunPodSandboxRequest& r) {
         Namespaces(r).mutable_userns_options()->set_mode(cri::NODE);
       },
       UserNamespace::kLeased},
      {"privileged",
       [](RunPodSandboxRequest& r) { Security(r).set_privileged(true); },
       UserNamespace::kHost},
      {"network",
       [](RunPodSandboxRequest& r) { Namespaces(r).set_network(cri::NODE); },
       UserNamespace::kHost},
      {"pid", [](RunPodSandboxRequest& r) { Namespaces(r).set_pid(cri::NODE); },
       UserNamespace::kHost},
      {"ipc", [](RunPodSandboxRequest& r) { Namespaces(r).set_ipc(cri::NODE); },
       UserNamespace::kHost},
      {"handler caisson-requested",
       [](RunPodSandboxRequest& r) {
         r.set_runtime_handler("caisson-requested");
       },
       UserNamespace::kHost},
  };
  for (const Row& row : rows) {
    RunPodSandboxRequest request = GoodPod();
    row.change(request);
    EXPECT_EQ(Plan(request).users, row.users) << row.name;
  }
}

TEST(PodPlanTest, GivenMappingIsUsedAsGivenEvenBesideAHostNamespace) {
  RunPodSandboxRequest request = GoodPod();
  Namespaces(request).set_network(cri::NODE);
  cri::UserNamespace& users = *Namespaces(request).mutable_userns_options();
  users.set_mode(cri::POD);
  for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_host_id(1000000);
    map->set_length(131072);
  }
  const PodDecision decision = Plan(request);
  EXPECT_EQ(decision.users, UserNamespace::kGiven);
  const identity::IdExtent whole = {0, 1000000, 131072};
  EXPECT_THAT(decision.given_uids, ElementsAre(whole));
  EXPECT_THAT(decision.given_gids, ElementsAre(whole));
  EXPECT_FALSE(decision.plan.own_network());
  EXPECT_FALSE(decision.plan.own_uts());
  EXPECT_TRUE(decision.plan.own_ipc());
}

TEST(PodPlanTest, IdsOfThePodBeyondItsRangeAreMappedOneByOne) {
  RunPodSandboxRequest request = GoodPod();
  Security(request).mutable_run_as_user()->set_value(1000650000);
  Security(request).mutable_run_as_group()->set_value(65535);
  Security(request).add_supplemental_groups(65536);
  Security(request).add_supplemental_groups(2147483647);
  EXPECT_THAT(Plan(request).extra_ids,
              ElementsAre(1000650000, 65536, 2147483647));
}

TEST(PodPlanTest, NameServesAsHostnameWhereNoneIsGiven) {
  RunPodSandboxRequest request = GoodPod();
  request.mutable_config()->clear_hostname();
  EXPECT_EQ(Plan(request).plan.hostname(), "web");
  request.mutable_config()->mutable_metadata()->set_name(std::string(100, 'n'));
  EXPECT_EQ(Plan(request).plan.hostname(), std::string(64, 'n'));
}

TEST(PodPlanTest, EmptyNamespaceAndUidAreFine) {
  RunPodSandboxRequest request = GoodPod();
  request.mutable_config()->mutable_metadata()->clear_namespace_();
  request.mutable_config()->mutable_metadata()->clear_uid();
  request.mutable_config()->clear_log_directory();
  EXPECT_TRUE(PlanPod(request, config::Config(), Selinux(), "node-1").ok());
}

TEST(PodPlanTest, SysctlsOfNamespacesArePlannedWithDots) {
  RunPodSandboxRequest request = GoodPod();
  auto& sysctls = *request.mutable_config()->mutable_linux()->mutable_sysctls();
  sysctls["net/ipv4/ip_unprivileged_port_start"] = "1000";
  sysctls["net.ipv4.ping_group_range"] = "1 0";
  sysctls["kernel.shm_rmid_forced"] = "1";
  sysctls["kernel.sem"] = "250 32000 32 128";
  sysctls["fs.mqueue.msg_max"] = "100";
  const PodDecision decision = Plan(request);
  EXPECT_THAT(
      decision.plan.sysctls(),
      UnorderedElementsAre(Pair("net.ipv4.ip_unprivileged_port_start", "1000"),
                           Pair("net.ipv4.ping_group_range", "1 0"),
                           Pair("kernel.shm_rmid_forced", "1"),
                           Pair("kernel.sem", "250 32000 32 128"),
                           Pair("fs.mqueue.msg_max", "100")));
}

// A pod on the node's network shares the node's UTS namespace: containerd
// writes the node's name there too, whatever the request says.
TEST(PodPlanTest, PodOnTheNodesNetworkHasTheNodesName) {
  RunPodSandboxRequest request = GoodPod();
  Namespaces(request).set_network(cri::NODE);
  for (const char* asked : {"", "web-host"}) {
    request.mutable_config()->set_hostname(asked);
    EXPECT_EQ(Plan(request).plan.hostname(), "node-1");
    EXPECT_FALSE(Plan(request).plan.own_uts());
  }
  Namespaces(request).set_network(cri::POD);
  EXPECT_EQ(Plan(request).plan.hostname(), "web-host");
  request.mutable_config()->clear_hostname();
  EXPECT_EQ(Plan(request).plan.hostname(), "web");
}

TEST(PodPlanTest, CgroupParentLosesItsSurplusSlashes) {
  RunPodSandboxRequest request = GoodPod();
  request.mutable_config()->mutable_linux()->set_cgroup_parent(
      "//kubepods//burstable/");
  EXPECT_EQ(Plan(request).cgroup_parent, "kubepods/burstable");
}

TEST(PodPlanTest, CgroupParentOfSystemdIsASlice) {
  config::Config config;
  config.cgroup.driver = "systemd";
  config.cgroup.parent = "caisson";
  RunPodSandboxRequest request = GoodPod();

  struct {
    const char* parent;
    const char* path;
    const char* slice;
  } const slices[] = {
      {"", "caisson.slice", "caisson.slice"},
      {"kubepods-pod1.slice", "kubepods.slice/kubepods-pod1.slice",
       "kubepods-pod1.slice"},
      {"/kubepods.slice/kubepods-pod1.slice",
       "kubepods.slice/kubepods-pod1.slice", "kubepods-pod1.slice"},
  };

  for (const auto& slice : slices) {
    SCOPED_TRACE(slice.parent);
    request.mutable_config()->mutable_linux()->set_cgroup_parent(slice.parent);
    const absl::StatusOr<PodDecision> decision =
        PlanPod(request, config, Selinux(), "node-1");
    ASSERT_TRUE(decision.ok()) << decision.status();
    EXPECT_EQ(decision->cgroup_parent, slice.path);
    EXPECT_EQ(decision->slice, slice.slice);
  }
}

TEST(PodPlanTest, PortsWithoutAHostsPortAreLeftOut) {
  RunPodSandboxRequest request = GoodPod();

  struct {
    int host, container;
    cri::Protocol protocol;
    const char* ip;
  } const ports[] = {{8080, 80, cri::TCP, ""},
                     {0, 81, cri::TCP, ""},
                     {5353, 53, cri::UDP, "127.0.0.1"},
                     {65535, 65535, cri::SCTP, "fd00::1"}};

  for (const auto& port : ports) {
    cri::PortMapping& added = *request.mutable_config()->add_port_mappings();
    added.set_host_port(port.host);
    added.set_container_port(port.container);
    added.set_protocol(port.protocol);
    added.set_host_ip(port.ip);
  }
  const PodDecision decision = Plan(request);
  std::vector<std::string> lines;
  for (const network::PortMapping& port : decision.ports) {
    lines.push_back(std::to_string(port.host_port) + ":" +
                    std::to_string(port.container_port) + " " + port.protocol +
                    " " + port.host_ip);
  }
  EXPECT_THAT(lines, ElementsAre("8080:80 tcp ", "5353:53 udp 127.0.0.1",
                                 "65535:65535 sctp fd00::1"));
}

TEST(PodPlanTest, ResolvConfHoldsWhatTheRequestSays) {
  RunPodSandboxRequest request = GoodPod();
  cri::DNSConfig& dns = *request.mutable_config()->mutable_dns_config();
  dns.add_servers("10.96.0.10");
  dns.add_servers("fd00::a");
  dns.add_searches("default.svc.cluster.local");
  dns.add_searches("cluster.local");
  dns.add_options("ndots:5");
  EXPECT_EQ(Plan(request).resolv_conf,
            "search default.svc.cluster.local cluster.local\n"
            "nameserver 10.96.0.10\n"
            "nameserver fd00::a\n"
            "options ndots:5\n");
}

}  // namespace
}  // namespace caisson::plan
