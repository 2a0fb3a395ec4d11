#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "shim/plan/pod.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::runtime::v1::PodSandboxConfig;
using ::runtime::v1::RunPodSandboxRequest;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace cri = ::runtime::v1;

// One thing that is wrong in an otherwise good request, and the answer.
struct Refusal {
  const char* name;
  void (*change)(RunPodSandboxRequest& request);
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

cri::LinuxSandboxSecurityContext& Security(RunPodSandboxRequest& request) {
  return *request.mutable_config()->mutable_linux()->mutable_security_context();
}

cri::NamespaceOption& Namespaces(RunPodSandboxRequest& request) {
  return *Security(request).mutable_namespace_options();
}

cri::PodSandboxMetadata& Metadata(RunPodSandboxRequest& request) {
  return *request.mutable_config()->mutable_metadata();
}

void AddMapping(RunPodSandboxRequest& request, uint32_t container,
                uint32_t host, uint32_t length) {
  cri::UserNamespace& users = *Namespaces(request).mutable_userns_options();
  users.set_mode(cri::POD);
  for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_container_id(container);
    map->set_host_id(host);
    map->set_length(length);
  }
}

cri::PortMapping& AddPort(RunPodSandboxRequest& request, int host,
                          int container) {
  cri::PortMapping& port = *request.mutable_config()->add_port_mappings();
  port.set_host_port(host);
  port.set_container_port(container);
  return port;
}

void SetSysctl(RunPodSandboxRequest& request, const std::string& name,
               const std::string& value) {
  (*request.mutable_config()->mutable_linux()->mutable_sysctls())[name] = value;
}

constexpr Refusal kNames[] = {
    {"NoMetadata",
     [](RunPodSandboxRequest& r) { r.mutable_config()->clear_metadata(); },
     "check config.metadata: \"\" is missing"},
    {"NoConfig", [](RunPodSandboxRequest& r) { r.clear_config(); },
     "check config.metadata: \"\" is missing"},
    {"EmptyName", [](RunPodSandboxRequest& r) { Metadata(r).set_name(""); },
     "check config.metadata.name: \"\" is empty"},
    {"SlashInName",
     [](RunPodSandboxRequest& r) { Metadata(r).set_name("a/b"); },
     "check config.metadata.name: \"a/b\" is not a name"},
    {"NameIsParent",
     [](RunPodSandboxRequest& r) { Metadata(r).set_name(".."); },
     "check config.metadata.name: \"..\" is not a name"},
    {"TwoArgumentsOfPlugins",
     [](RunPodSandboxRequest& r) { Metadata(r).set_uid("a;b=c"); },
     "check config.metadata.uid: \"a;b=c\" has a separator"},
    {"OverlongName",
     [](RunPodSandboxRequest& r) {
       Metadata(r).set_name(std::string(254, 'a'));
     },
     "is longer than 253 bytes"},
    {"NameOfAMegabyteIsCutInTheMessage",
     [](RunPodSandboxRequest& r) {
       Metadata(r).set_name(std::string(1 << 20, 'a'));
     },
     "aaaa\" is longer than 253 bytes"},
    {"LineFeedInName",
     [](RunPodSandboxRequest& r) { Metadata(r).set_name("a\nb"); },
     "check config.metadata.name: \"a\\nb\" has a control character"},
    {"NulInName",
     [](RunPodSandboxRequest& r) {
       Metadata(r).set_name(std::string("a\0x", 3));
     },
     "\"a\\x00x\" has a control character"},
    {"DeleteInName",
     [](RunPodSandboxRequest& r) { Metadata(r).set_name("a\x7f"); },
     "has a control character"},
    {"SlashInNamespace",
     [](RunPodSandboxRequest& r) { Metadata(r).set_namespace_("../etc"); },
     "check config.metadata.namespace: \"../etc\" is not a name"},
    {"SlashInUid", [](RunPodSandboxRequest& r) { Metadata(r).set_uid("/"); },
     "check config.metadata.uid: \"/\" is not a name"},
    {"OverlongUid",
     [](RunPodSandboxRequest& r) {
       Metadata(r).set_uid(std::string(254, 'u'));
     },
     "check config.metadata.uid: \"uuuu"},
    {"SpaceInHostname",
     [](RunPodSandboxRequest& r) { r.mutable_config()->set_hostname("a b"); },
     "check config.hostname: \"a b\" is not a host's name"},
    {"OverlongHostname",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->set_hostname(std::string(65, 'h'));
     },
     "is longer than 64 bytes"},
    {"UnknownHandler",
     [](RunPodSandboxRequest& r) { r.set_runtime_handler("kata"); },
     "check runtime_handler: \"kata\" is not configured",
     absl::StatusCode::kNotFound},
    {"HandlerWithLineFeed",
     [](RunPodSandboxRequest& r) { r.set_runtime_handler("a\nb"); },
     "check runtime_handler: \"a\\nb\" is not configured",
     absl::StatusCode::kNotFound},
    {"RelativeLogDirectory",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->set_log_directory("var/log");
     },
     "check config.log_directory: \"var/log\" is not an absolute path"},
    {"LogDirectoryWithParent",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->set_log_directory("/var/log/pods/../../../etc");
     },
     "check config.log_directory: \"/var/log/pods/../../../etc\" has a \"..\""},
    {"LogDirectoryWithLineFeed",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->set_log_directory("/var/\nlog");
     },
     "check config.log_directory: \"/var/\\nlog\" has a control character"},
};

constexpr char kUsersField[] =
    "config.linux.security_context.namespace_options.userns_options";

constexpr Refusal kIdentities[] = {
    {"TwoMappings",
     [](RunPodSandboxRequest& r) {
       AddMapping(r, 0, 1000000, 65536);
       AddMapping(r, 65536, 2000000, 65536);
     },
     ".userns_options.uids: \"2 mappings\" must be one mapping"},
    {"NoMapping",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).mutable_userns_options()->set_mode(cri::POD);
     },
     ".userns_options.uids: \"0 mappings\" must be one mapping"},
    {"RootIsNotMapped",
     [](RunPodSandboxRequest& r) { AddMapping(r, 1, 1000000, 65536); },
     "container id 0 is not mapped"},
    {"RootIsMappedToTheHostsRoot",
     [](RunPodSandboxRequest& r) { AddMapping(r, 0, 0, 65536); }, kUsersField},
    {"EmptyMapping",
     [](RunPodSandboxRequest& r) { AddMapping(r, 0, 1000000, 0); },
     kUsersField},
    {"HostIdsOverflow",
     [](RunPodSandboxRequest& r) { AddMapping(r, 0, 4294967295u, 2); },
     kUsersField},
    {"ContainerIdsOverflow",
     [](RunPodSandboxRequest& r) { AddMapping(r, 0, 65536, 4294967295u); },
     kUsersField},
    {"HostIdsBeyondTheLimit",
     [](RunPodSandboxRequest& r) { AddMapping(r, 0, 4294901760u, 65536); },
     kUsersField},
    {"GidsDifferFromUids",
     [](RunPodSandboxRequest& r) {
       AddMapping(r, 0, 1000000, 65536);
       Namespaces(r).mutable_userns_options()->mutable_gids(0)->set_host_id(
           2000000);
     },
     ".userns_options: \"gids\" differ from uids"},
    {"UserNamespaceOfTheContainer",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).mutable_userns_options()->set_mode(cri::CONTAINER);
     },
     ".userns_options.mode: \"1\" is not supported"},
    {"UserNamespaceOfATarget",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).mutable_userns_options()->set_mode(cri::TARGET);
     },
     ".userns_options.mode: \"3\" is not supported"},
    {"UnknownNetworkMode",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).set_network(static_cast<cri::NamespaceMode>(9));
     },
     "namespace_options.network: \"9\" is neither POD nor NODE"},
    {"IpcOfATarget",
     [](RunPodSandboxRequest& r) { Namespaces(r).set_ipc(cri::TARGET); },
     "namespace_options.ipc: \"3\" is neither POD nor NODE"},
    {"NegativeUser",
     [](RunPodSandboxRequest& r) {
       Security(r).mutable_run_as_user()->set_value(-1);
     },
     "run_as_user.value: \"-1\" is out of range 0..2147483647"},
    {"UserOf32Bits",
     [](RunPodSandboxRequest& r) {
       Security(r).mutable_run_as_user()->set_value(4294967296);
     },
     "run_as_user.value: \"4294967296\" is out of range"},
    {"GroupOf31Bits",
     [](RunPodSandboxRequest& r) {
       Security(r).mutable_run_as_group()->set_value(2147483648);
     },
     "run_as_group.value: \"2147483648\" is out of range"},
    {"NegativeSupplementalGroup",
     [](RunPodSandboxRequest& r) { Security(r).add_supplemental_groups(-5); },
     "supplemental_groups: \"-5\" is out of range"},
};

constexpr Refusal kNetwork[] = {
    {"NegativeHostPort", [](RunPodSandboxRequest& r) { AddPort(r, -1, 80); },
     "check config.port_mappings: \"-1:80\" is out of range 0..65535"},
    {"HostPortOf17Bits", [](RunPodSandboxRequest& r) { AddPort(r, 65536, 1); },
     "\"65536:1\" is out of range"},
    {"ContainerPortOf17Bits",
     [](RunPodSandboxRequest& r) { AddPort(r, 80, 65536); },
     "\"80:65536\" is out of range"},
    {"UnknownProtocol",
     [](RunPodSandboxRequest& r) {
       AddPort(r, 80, 80).set_protocol(static_cast<cri::Protocol>(7));
     },
     "check config.port_mappings.protocol: \"7\" is unknown"},
    {"HostIpIsAName",
     [](RunPodSandboxRequest& r) { AddPort(r, 80, 80).set_host_ip("evil"); },
     "check config.port_mappings.host_ip: \"evil\" is not an address"},
    {"HostIpHidesANul",
     [](RunPodSandboxRequest& r) {
       AddPort(r, 80, 80).set_host_ip(std::string("1.2.3.4\0;x", 10));
     },
     "check config.port_mappings.host_ip: \"1.2.3.4\\x00;x\" has a control"},
    {"LineFeedInDnsServer",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_dns_config()->add_servers("1.1.1.1\nx");
     },
     "check config.dns_config.servers: \"1.1.1.1\\nx\" has a control"},
    {"EmptyDnsSearch",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_dns_config()->add_searches("");
     },
     "check config.dns_config.searches: \"\" is empty"},
    {"OverlongDnsOption",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_dns_config()->add_options(
           std::string(257, 'o'));
     },
     "is longer than 256 bytes"},
};

constexpr Refusal kKernel[] = {
    {"SysctlOfTheHost",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "kernel.core_pattern", "|x"); },
     "check config.linux.sysctls: \"kernel.core_pattern\" does not belong"},
    {"SysctlOfTheHostWithSlashes",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "kernel/core_pattern", "|x"); },
     "does not belong to a namespace of the pod"},
    {"SysctlThatClimbs",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "net/../kernel/x", "1"); },
     "check config.linux.sysctls: \"net/../kernel/x\" does not belong"},
    {"SysctlWithDots",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "net...kernel.x", "1"); },
     "does not belong"},
    {"SysctlWithASpace",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "net.ipv4.x y", "1"); },
     "check config.linux.sysctls: \"net.ipv4.x y\" is not a sysctl's name"},
    {"SysctlWithoutName",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "", "1"); },
     "check config.linux.sysctls: \"\" is empty"},
    {"SysctlWithoutValue",
     [](RunPodSandboxRequest& r) { SetSysctl(r, "net.ipv4.ip_forward", ""); },
     "check config.linux.sysctls[net.ipv4.ip_forward]: \"\" is empty"},
    {"SysctlValueWithNul",
     [](RunPodSandboxRequest& r) {
       SetSysctl(r, "net.ipv4.ip_forward", std::string("1\0", 2));
     },
     "check config.linux.sysctls[net.ipv4.ip_forward]: \"1\\x00\" has a "
     "control"},
    {"OverlongSysctlName",
     [](RunPodSandboxRequest& r) {
       SetSysctl(r, "net." + std::string(1 << 20, 'x'), "1");
     },
     "is longer than 255 bytes"},
    {"NetSysctlOnTheHostsNetwork",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).set_network(cri::NODE);
       SetSysctl(r, "net.ipv4.ip_forward", "1");
     },
     "does not belong to a namespace of the pod"},
    {"IpcSysctlInTheHostsIpc",
     [](RunPodSandboxRequest& r) {
       Namespaces(r).set_ipc(cri::NODE);
       SetSysctl(r, "kernel.shmmax", "1");
     },
     "\"kernel.shmmax\" does not belong"},
    {"CgroupParentThatClimbs",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_linux()->set_cgroup_parent("/a/../../b");
     },
     "check config.linux.cgroup_parent: \"/a/../../b\" leaves its parent"},
    {"CgroupParentIsASlice",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_linux()->set_cgroup_parent("kube.slice");
     },
     "\"kube.slice\" is a systemd slice"},
    {"CgroupParentWithLineFeed",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_linux()->set_cgroup_parent("/a\nb");
     },
     "check config.linux.cgroup_parent: \"/a\\nb\" has a control character"},
    {"OverlongCgroupParent",
     [](RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_linux()->set_cgroup_parent(
           std::string(4096, 'c'));
     },
     "is longer than 4095 bytes"},
};

class PodRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(PodRefusalTest, NamesFieldAndValue) {
  RunPodSandboxRequest request = GoodPod();
  ASSERT_TRUE(PlanPod(request, config::Config(), Selinux(), "node-1").ok());
  GetParam().change(request);
  const absl::Status status =
      PlanPod(request, config::Config(), Selinux(), "node-1").status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
  EXPECT_LT(status.message().size(), 1024u);
}

TEST(PodRefusalOfSystemdTest, NamesTheParent) {
  config::Config config;
  config.cgroup.driver = "systemd";

  struct {
    const char* parent;
    const char* message;
  } const parents[] = {
      {"/a.slice/../../b.slice", "leaves its parent"},
      {"../b.slice", "leaves its parent"},
      {"/kubepods/pod1", "\"/kubepods/pod1\""},
      {"x-.slice", "\"x-.slice\""},
      {"x--y.slice", "\"x--y.slice\""},
      {"x.service", "\"x.service\""},
  };

  for (const auto& parent : parents) {
    SCOPED_TRACE(parent.parent);
    RunPodSandboxRequest request = GoodPod();
    request.mutable_config()->mutable_linux()->set_cgroup_parent(parent.parent);
    const absl::Status status =
        PlanPod(request, config, Selinux(), "node-1").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("config.linux.cgroup_parent"),
                      HasSubstr(parent.message)));
  }
}

std::string NameOf(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Names, PodRefusalTest, testing::ValuesIn(kNames),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Identities, PodRefusalTest,
                         testing::ValuesIn(kIdentities), NameOf);
INSTANTIATE_TEST_SUITE_P(Network, PodRefusalTest, testing::ValuesIn(kNetwork),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Kernel, PodRefusalTest, testing::ValuesIn(kKernel),
                         NameOf);

}  // namespace
}  // namespace caisson::plan
