#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "shim/plan/pod.h"
#include "tests/unit/plan/good_requests.h"

namespace caisson::plan {
namespace {

using ::runtime::v1::RunPodSandboxRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
namespace cri = ::runtime::v1;

absl::StatusOr<PodDecision> PlanWith(const std::string& name,
                                     const std::string& value,
                                     RunPodSandboxRequest request = GoodPod()) {
  (*request.mutable_config()->mutable_linux()->mutable_sysctls())[name] = value;
  return PlanPod(request, config::Config(), Selinux(), "node-1");
}

struct Row {
  const char* asked;
  const char* planned;
};

// They are there only when CNI has made the interface.
TEST(SysctlsTest, ThoseOfAnInterfaceAreWrittenAfterItIsThere) {
  for (const Row& row :
       {Row{"net.ipv4.conf.eth0.forwarding", "net.ipv4.conf.eth0.forwarding"},
        Row{"net/ipv6/conf/net1/accept_ra", "net.ipv6.conf.net1.accept_ra"},
        Row{"net.ipv4.neigh.eth0.gc_stale_time",
            "net.ipv4.neigh.eth0.gc_stale_time"},
        Row{"net.ipv6.neigh.eth0.delay_first_probe_time",
            "net.ipv6.neigh.eth0.delay_first_probe_time"},
        Row{"net.mpls.conf.eth0.input", "net.mpls.conf.eth0.input"},
        // A dot within a name, in the two ways of sysctl(8).
        Row{"net.ipv4.conf.eth0/5.forwarding",
            "net/ipv4/conf/eth0.5/forwarding"},
        Row{"net/ipv4/conf/eth0.5/forwarding",
            "net/ipv4/conf/eth0.5/forwarding"}}) {
    const absl::StatusOr<PodDecision> decision = PlanWith(row.asked, "1");
    ASSERT_TRUE(decision.ok()) << row.asked << ": " << decision.status();
    EXPECT_THAT(decision->network_sysctls,
                UnorderedElementsAre(Pair(row.planned, "1")));
    EXPECT_FALSE(decision->plan.sysctls().contains(row.planned));
  }
}

TEST(SysctlsTest, AllOthersAreWrittenAtOnce) {
  for (const char* name :
       {"net.ipv4.conf.all.forwarding", "net.ipv4.conf.default.rp_filter",
        "net.ipv6.conf.lo.disable_ipv6", "net.ipv4.neigh.default.gc_thresh1",
        "net.ipv4.ip_forward", "net.core.somaxconn"}) {
    const absl::StatusOr<PodDecision> decision = PlanWith(name, "1");
    ASSERT_TRUE(decision.ok()) << decision.status();
    EXPECT_THAT(decision->network_sysctls, IsEmpty()) << name;
    EXPECT_EQ(decision->plan.sysctls().at(name), "1");
  }
}

// It becomes a path below /proc/sys.
TEST(SysctlsTest, NoPartOfANameClimbs) {
  for (const char* name :
       {"net.ipv4.//.//.kernel.core_pattern", "net/../kernel/x", "net...x",
        "net./.x", "net/./x", "net.", ".net.x", "/net/x", "net//x",
        "net.ipv4/ip_forward.//"}) {
    const absl::Status status = PlanWith(name, "1").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("does not belong"));
  }
}

// The kernel takes only groups that the user namespace has: "0 2147483647" is
// how pods say "all", and a safe sysctl.
TEST(SysctlsTest, RangeOfGroupsIsCutToThePods) {
  constexpr char kName[] = "net.ipv4.ping_group_range";
  const auto value = [&](const char* asked,
                         const RunPodSandboxRequest& request) {
    const absl::StatusOr<PodDecision> decision =
        PlanWith(kName, asked, request);
    EXPECT_TRUE(decision.ok()) << decision.status();
    return decision.ok() ? decision->plan.sysctls().at(kName) : "";
  };
  RunPodSandboxRequest leased = GoodPod();
  leased.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->add_supplemental_groups(1000650000);
  for (const Row& row :
       {Row{"0 2147483647", "0 65535"}, Row{"100 65536", "100 65535"},
        Row{"0 65535", "0 65535"}, Row{"1 0", "1 0"}, Row{"70000 80000", "1 0"},
        // Mapped one by one.
        Row{"1000650000 1000650000", "1000650000 1000650000"},
        // The kernel's to refuse.
        Row{"0", "0"}, Row{"a b", "a b"}, Row{"0 5 7", "0 5 7"}}) {
    EXPECT_EQ(value(row.asked, leased), row.planned) << row.asked;
  }
  RunPodSandboxRequest host = GoodPod();
  host.set_runtime_handler("caisson-requested");
  EXPECT_EQ(value("0 2147483647", host), "0 2147483647");
  RunPodSandboxRequest given = GoodPod();
  cri::UserNamespace& users = *given.mutable_config()
                                   ->mutable_linux()
                                   ->mutable_security_context()
                                   ->mutable_namespace_options()
                                   ->mutable_userns_options();
  users.set_mode(cri::POD);
  for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_host_id(1000000);
    map->set_length(131072);
  }
  EXPECT_EQ(value("0 2147483647", given), "0 131071");
}

}  // namespace
}  // namespace caisson::plan
