#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "runtime/identity/capabilities.h"
#include "shim/plan/container.h"
#include "tests/unit/plan/good_requests.h"

// What a handler's policy does to a container's plan.
namespace caisson::plan {
namespace {

using keeper::v1::Mount;
using ::testing::HasSubstr;

ContainerDecision Plan(const GoodContainer& it) {
  const absl::StatusOr<ContainerDecision> decision = it.Plan();
  EXPECT_TRUE(decision.ok()) << decision.status();
  return decision.ok() ? *decision : ContainerDecision();
}

std::string Refusal(const GoodContainer& it) {
  const absl::Status status = it.Plan().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

Mount::IdMapping MappingOf(const GoodContainer& it, const char* target) {
  const ContainerDecision decision = Plan(it);
  for (const Mount& mount : decision.plan.mounts()) {
    if (mount.target() == target) {
      return mount.id_mapping();
    }
  }
  ADD_FAILURE() << "no mount at " << target;
  return Mount::UNMAPPED;
}

// Two volumes of the kubelet and three of the host.
GoodContainer Volumes(config::HostPathPolicy policy) {
  GoodContainer it;
  it.policy.host_path = policy;
  it.AddMount("/var/lib/kubelet/pods/1/volumes/a", "/inside");
  it.AddMount("//var/./lib/kubelet", "/whole");
  return it;
}

constexpr const char* kHostPaths[] = {"/srv/data", "/var/lib/kubelet-other/a",
                                      "/var/lib", "/"};

TEST(HostPathPolicyTest, UnmappedHoldsOutsideOfTheKubeletsDirectory) {
  GoodContainer it = Volumes(config::HostPathPolicy::kUnmapped);
  EXPECT_EQ(MappingOf(it, "/inside"), Mount::MAPPED);
  EXPECT_EQ(MappingOf(it, "/whole"), Mount::MAPPED);
  // What we add ourselves is no path of the host.
  EXPECT_EQ(MappingOf(it, "/etc/hosts"), Mount::MAPPED);
  for (const char* path : kHostPaths) {
    GoodContainer other = it;
    other.AddMount(path, "/outside");
    EXPECT_EQ(MappingOf(other, "/outside"), Mount::UNMAPPED) << path;
  }
  it.daemon.kubelet_dir = "/data/kubelet";
  EXPECT_EQ(MappingOf(it, "/inside"), Mount::UNMAPPED);
}

TEST(HostPathPolicyTest, MapIsTheDefault) {
  GoodContainer it = Volumes(config::Handler().host_path);
  it.AddMount("/srv/data", "/outside");
  EXPECT_EQ(MappingOf(it, "/outside"), Mount::MAPPED);
}

TEST(HostPathPolicyTest, RefusalsNameMountAndHandler) {
  const GoodContainer good = Volumes(config::HostPathPolicy::kRefuse);
  EXPECT_TRUE(good.Plan().ok());
  for (const char* path : kHostPaths) {
    GoodContainer it = good;
    it.AddMount(path, "/outside");
    EXPECT_THAT(Refusal(it),
                AllOf(HasSubstr("check config.mounts[2].host_path: \"" +
                                std::string(path) + "\" lies outside of "),
                      HasSubstr("handler caisson has host_path = \"refuse\"")));
    // With the host's ids there is nothing to map.
    it.own_users = false;
    EXPECT_EQ(MappingOf(it, "/outside"), Mount::UNMAPPED);
  }
}

TEST(UnmappablePolicyTest, ThePlanSaysWhatToDo) {
  GoodContainer it;
  it.AddMount("/var/lib/kubelet/a", "/a");
  EXPECT_EQ(MappingOf(it, "/a"), Mount::MAPPED);
  EXPECT_THAT(Plan(it).plan.unmappable_advice(),
              HasSubstr("handlers.caisson.unmappable = \"unmapped\""));
  it.policy.unmappable = config::UnmappablePolicy::kUnmapped;
  EXPECT_EQ(MappingOf(it, "/a"), Mount::MAPPED_WHERE_POSSIBLE);
  it.own_users = false;
  EXPECT_EQ(MappingOf(it, "/a"), Mount::UNMAPPED);
}

constexpr uint64_t kChown = 1u << 0;
constexpr uint64_t kNetAdmin = 1u << 12;

TEST(CapabilityCeilingTest, CutsTheDefaults) {
  GoodContainer it;
  it.policy.capability_ceiling = kChown | kNetAdmin;
  EXPECT_EQ(Plan(it).plan.process().capabilities().bounding(), kChown);
  it.Security().mutable_capabilities()->add_add_capabilities("NET_ADMIN");
  EXPECT_EQ(Plan(it).plan.process().capabilities().bounding(),
            kChown | kNetAdmin);
  it.policy.capability_ceiling = 0;
  it.config.clear_linux();
  EXPECT_EQ(Plan(it).plan.process().capabilities().bounding(), 0u);
}

TEST(CapabilityCeilingTest, RefusesWhatIsBeyond) {
  GoodContainer good;
  good.policy.capability_ceiling = kChown;
  for (const char* name : {"NET_ADMIN", "CAP_SYS_ADMIN", "ALL"}) {
    GoodContainer it = good;
    it.Security().mutable_capabilities()->add_add_capabilities(name);
    EXPECT_THAT(Refusal(it), HasSubstr("beyond the ceiling of the handler "
                                       "caisson"));
    it = good;
    it.Security().mutable_capabilities()->add_add_ambient_capabilities(name);
    EXPECT_THAT(Refusal(it), HasSubstr("CAP_")) << name;
  }
  GoodContainer it = good;
  it.Security().set_privileged(true);
  EXPECT_THAT(Refusal(it), HasSubstr("CAP_SYS_ADMIN"));
  it.policy.capability_ceiling = identity::AllCapabilities();
  EXPECT_TRUE(it.Plan().ok());
}

TEST(DevicePolicyTest, PrivilegedWithoutHostDevices) {
  GoodContainer it;
  it.own_users = false;
  it.Security().set_privileged(true);
  EXPECT_TRUE(Plan(it).plan.host_devices());
  it.policy.privileged_without_host_devices = true;
  EXPECT_FALSE(Plan(it).plan.host_devices());
  EXPECT_TRUE(Plan(it).plan.privileged());
}

TEST(DevicePolicyTest, OwnersAreUserAndGroupWhenTheHandlerSaysSo) {
  GoodContainer it;
  runtime::v1::Device& device = *it.config.add_devices();
  device.set_host_path("/dev/kvm");
  device.set_container_path("/dev/kvm");
  it.Security().mutable_run_as_user()->set_value(1000);
  it.Security().mutable_run_as_group()->set_value(0);
  EXPECT_EQ(Plan(it).plan.devices(0).uid(), 0u);
  it.policy.device_ownership_from_security_context = true;
  EXPECT_EQ(Plan(it).plan.devices(0).uid(), 1000u);
  EXPECT_EQ(Plan(it).plan.devices(0).gid(), 0u);
  it.Security().mutable_run_as_group()->set_value(2000);
  EXPECT_EQ(Plan(it).plan.devices(0).gid(), 2000u);
}

TEST(RlimitsTest, TheConfiguredOnesAreSetBesideOpenFiles) {
  GoodContainer it;
  it.daemon.limits.rlimits["core"] = {RLIMIT_CORE, 0, RLIM_INFINITY};
  const ContainerDecision decision = Plan(it);
  ASSERT_EQ(decision.plan.process().rlimits_size(), 2);
  const keeper::v1::Rlimit& core = decision.plan.process().rlimits(1);
  EXPECT_EQ(core.resource(), RLIMIT_CORE);
  EXPECT_EQ(core.soft(), 0u);
  EXPECT_EQ(core.hard(), RLIM_INFINITY);
}

}  // namespace
}  // namespace caisson::plan
