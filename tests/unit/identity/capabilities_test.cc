#include "runtime/identity/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

namespace caisson::identity {
namespace {

constexpr CapabilitySet kNetAdmin = CapabilitySet{1} << CAP_NET_ADMIN;
constexpr CapabilitySet kSysTime = CapabilitySet{1} << CAP_SYS_TIME;
constexpr CapabilitySet kKill = CapabilitySet{1} << CAP_KILL;

TEST(CapabilitiesTest, NamesAreFoundInEveryForm) {
  for (const char* name :
       {"NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "net_admin"}) {
    EXPECT_EQ(*CapabilityFromName(name), CAP_NET_ADMIN);
  }
  EXPECT_FALSE(CapabilityFromName("CAP_").ok());
  EXPECT_FALSE(CapabilityFromName("NET").ok());
  EXPECT_EQ(CapabilityName(40), "CAP_CHECKPOINT_RESTORE");
  EXPECT_EQ(CapabilityName(63), "CAP_63");
}

TEST(CapabilitiesTest, DefaultsAreNine) {
  EXPECT_EQ(CapabilityNames(DefaultCapabilities()).size(), 9u);
}

TEST(CapabilitiesTest, SingleNamesAddedBesideDropAllStay) {
  CapabilityRequest request;
  request.drop = {"ALL"};
  request.add = {"NET_ADMIN"};
  EXPECT_EQ(ResolveCapabilities(request, 0)->effective, kNetAdmin);
  request.drop = {"ALL", "NET_ADMIN"};
  EXPECT_EQ(ResolveCapabilities(request, 0)->effective, 0u);
  request.drop = {"KILL"};
  request.add = {"ALL"};
  EXPECT_EQ(ResolveCapabilities(request, 0)->effective,
            AllCapabilities() & ~kKill);
}

TEST(CapabilitiesTest, OnlyAmbientOnesSurviveForOthersThanRoot) {
  CapabilityRequest request;
  request.add = {"NET_ADMIN", "SYS_TIME"};
  absl::StatusOr<CapabilitySets> sets = ResolveCapabilities(request, 1000);
  ASSERT_TRUE(sets.ok());
  EXPECT_EQ(sets->effective | sets->permitted | sets->inheritable, 0u);
  EXPECT_EQ(sets->bounding, DefaultCapabilities() | kNetAdmin | kSysTime);
  request.add_ambient = {"SYS_TIME"};
  sets = ResolveCapabilities(request, 1000);
  ASSERT_TRUE(sets.ok());
  EXPECT_EQ(sets->effective, kSysTime);
  EXPECT_EQ(sets->ambient, kSysTime);
  EXPECT_EQ(sets->inheritable, kSysTime);
}

TEST(CapabilitiesTest, PrivilegedUserKeepsNothingEffective) {
  CapabilityRequest request;
  request.privileged = true;
  EXPECT_EQ(ResolveCapabilities(request, 1000)->effective, 0u);
  EXPECT_EQ(ResolveCapabilities(request, 0)->effective, AllCapabilities());
  EXPECT_EQ(ResolveCapabilities(request, 0)->inheritable, 0u);
}

TEST(CapabilitiesTest, TheCeilingRefusesWhatIsAskedFor) {
  CapabilityRequest request;
  request.ceiling = DefaultCapabilities() & ~kKill;
  EXPECT_EQ(ResolveCapabilities(request, 0)->bounding, request.ceiling);
  request.add = {"NET_ADMIN"};
  EXPECT_EQ(ResolveCapabilities(request, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  request.add = {"ALL"};
  EXPECT_EQ(ResolveCapabilities(request, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  request.add = {};
  request.privileged = true;
  EXPECT_EQ(ResolveCapabilities(request, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caisson::identity
