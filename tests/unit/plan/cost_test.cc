#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/plan/good_requests.h"

// A plan costs no more than the size of what it is made of: an image or a
// request may name very many of a thing, and a pod waits meanwhile.
namespace caisson::plan {
namespace {

// Ten times the entries may cost this many times the time; what grows with
// their square costs a hundred times.
constexpr double kMost = 35;

// Nanoseconds that this thread computed, which others on the machine don't
// change.
int64_t Computed() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

using Fill = std::function<void(int count, GoodContainer& it)>;

// The least of three, for caches are cold at first.
int64_t CostOf(const Fill& fill, int count) {
  GoodContainer it;
  fill(count, it);
  int64_t least = INT64_MAX;
  for (int i = 0; i < 3; ++i) {
    const int64_t begin = Computed();
    const absl::StatusOr<ContainerDecision> decision = it.Plan();
    least = std::min(least, Computed() - begin);
    EXPECT_TRUE(decision.ok()) << decision.status();
  }
  return least;
}

void ExpectLinear(const Fill& fill, int count) {
  const int64_t small = CostOf(fill, count);
  const int64_t large = CostOf(fill, count * 10);
  EXPECT_LT(static_cast<double>(large), kMost * static_cast<double>(small));
}

TEST(PlanCostTest, VariablesOfTheImage) {
  ExpectLinear(
      [](int count, GoodContainer& it) {
        for (int i = 0; i < count; ++i) {
          it.image.env.push_back(absl::StrCat("VARIABLE_", i, "=value"));
        }
      },
      3000);
}

TEST(PlanCostTest, VariablesOfTheRequest) {
  ExpectLinear(
      [](int count, GoodContainer& it) {
        for (int i = 0; i < count; ++i) {
          it.config.add_envs()->set_key(absl::StrCat("VARIABLE_", i));
        }
      },
      3000);
}

TEST(PlanCostTest, VolumesOfTheImage) {
  for (const bool sealed : {false, true}) {
    ExpectLinear(
        [&](int count, GoodContainer& it) {
          it.Security().set_readonly_rootfs(sealed);
          for (int i = 0; i < count; ++i) {
            it.image.volumes.push_back(absl::StrCat("/data/", i));
          }
        },
        2000);
  }
}

TEST(PlanCostTest, MountsOfTheRequest) {
  ExpectLinear(
      [](int count, GoodContainer& it) {
        for (int i = 0; i < count; ++i) {
          it.AddMount("/srv", absl::StrCat("/data/", i).c_str());
        }
      },
      2000);
}

TEST(PlanCostTest, DevicesOfTheRequest) {
  ExpectLinear(
      [](int count, GoodContainer& it) {
        for (int i = 0; i < count; ++i) {
          runtime::v1::Device& device = *it.config.add_devices();
          device.set_host_path("/dev/null");
          device.set_container_path(absl::StrCat("/dev/d", i));
        }
      },
      2000);
}

// What plans a container depends on that were resolved before it.
TEST(PlanCostTest, NodesAndGroupsOfCdiDevices) {
  const auto cost = [](int count) {
    GoodContainer it;
    ContainerInputs inputs = it.Inputs();
    for (int i = 0; i < count; ++i) {
      device::DeviceNode node;
      node.path = node.host_path = absl::StrCat("/dev/d", i);
      inputs.edits.nodes.push_back(node);
      inputs.edits.groups.push_back(static_cast<uint32_t>(100 + i));
    }
    int64_t least = INT64_MAX;
    for (int i = 0; i < 3; ++i) {
      const int64_t begin = Computed();
      EXPECT_TRUE(PlanContainer(inputs).ok());
      least = std::min(least, Computed() - begin);
    }
    return static_cast<double>(least);
  };
  EXPECT_LT(cost(20000), kMost * cost(2000));
}

TEST(PlanCostTest, NamesOfCdiDevices) {
  const auto cost = [](int count) {
    GoodContainer it;
    for (int i = 0; i < count; ++i) {
      it.config.add_cdi_devices()->set_name(absl::StrCat("a.b/c=d", i));
    }
    int64_t least = INT64_MAX;
    for (int i = 0; i < 3; ++i) {
      const int64_t begin = Computed();
      EXPECT_TRUE(CdiNames(it.config).ok());
      least = std::min(least, Computed() - begin);
    }
    return static_cast<double>(least);
  };
  EXPECT_LT(cost(20000), kMost * cost(2000));
}

}  // namespace
}  // namespace caisson::plan
