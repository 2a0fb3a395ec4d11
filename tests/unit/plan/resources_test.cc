#include "shim/plan/resources.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "runtime/base/status.h"

namespace caisson::plan {
namespace {

using runtime::v1::LinuxContainerResources;

cgroup::Limits Plan(const LinuxContainerResources& resources) {
  const absl::StatusOr<cgroup::Limits> limits = PlanLimits(resources, "linux");
  EXPECT_TRUE(limits.ok()) << limits.status();
  return limits.value_or(cgroup::Limits());
}

// Kubelets say it in both ways: -1, and what they read from a cgroup without
// a limit, which depends on the size of a page.
TEST(ResourcesTest, NoLimitOfMemoryIsSaidInManyWays) {
  for (const int64_t bytes : {int64_t{-1}, int64_t{9223372036854771712},
                              INT64_MAX, int64_t{9223372036854710272}}) {
    LinuxContainerResources resources;
    resources.set_memory_limit_in_bytes(bytes);
    resources.set_memory_swap_limit_in_bytes(bytes);
    EXPECT_EQ(Plan(resources).memory_bytes, -1) << bytes;
    EXPECT_EQ(Plan(resources).swap_bytes, -1) << bytes;
    resources.clear_memory_swap_limit_in_bytes();
    EXPECT_EQ(Plan(resources).swap_bytes, -1) << bytes;
  }
  LinuxContainerResources silent;
  EXPECT_FALSE(Plan(silent).memory_bytes.has_value());
  EXPECT_FALSE(Plan(silent).swap_bytes.has_value());
  silent.set_memory_limit_in_bytes(64 << 20);
  EXPECT_EQ(Plan(silent).memory_bytes, 64 << 20);
  EXPECT_FALSE(Plan(silent).swap_bytes.has_value());
}

// runc lifts the limit of both with the one of memory, for the kernel takes
// none of memory above it.
TEST(ResourcesTest, AnUpdateToNoMemoryLimitLiftsOneOfSwap) {
  LinuxContainerResources now;
  now.set_memory_limit_in_bytes(48 << 20);
  now.set_memory_swap_limit_in_bytes(48 << 20);
  LinuxContainerResources change;
  change.set_memory_limit_in_bytes(-1);
  Merge(change, now);
  EXPECT_EQ(Plan(now).memory_bytes, -1);
  EXPECT_EQ(Plan(now).swap_bytes, -1);
  change.set_memory_limit_in_bytes(32 << 20);
  change.set_memory_swap_limit_in_bytes(64 << 20);
  Merge(change, now);
  EXPECT_EQ(Plan(now).memory_bytes, 32 << 20);
  EXPECT_EQ(Plan(now).swap_bytes, 64 << 20);
}

TEST(ResourcesTest, WhatASideLeavesOpenIsOpenAndNothingOverflows) {
  LinuxContainerResources pod;
  LinuxContainerResources overhead;
  pod.set_memory_limit_in_bytes(9223372036854771712);
  pod.set_cpu_shares(INT64_MAX);
  pod.set_cpu_quota(-1);
  overhead.set_memory_limit_in_bytes(16 << 20);
  overhead.set_cpu_shares(512);
  overhead.set_cpu_quota(1000);
  LinuxContainerResources sum = Sum(pod, overhead);
  EXPECT_EQ(Plan(sum).memory_bytes, -1);
  EXPECT_EQ(sum.cpu_shares(), INT64_MAX);
  EXPECT_EQ(sum.cpu_quota(), -1);
  pod.set_memory_limit_in_bytes(64 << 20);
  pod.set_cpu_shares(0);
  sum = Sum(pod, overhead);
  EXPECT_EQ(Plan(sum).memory_bytes, 80 << 20);
  EXPECT_EQ(sum.cpu_shares(), 512);
  overhead.set_memory_limit_in_bytes(-1);
  EXPECT_EQ(Plan(Sum(pod, overhead)).memory_bytes, -1);
  pod.set_memory_limit_in_bytes(-1);
  overhead.set_memory_limit_in_bytes(16 << 20);
  EXPECT_EQ(Plan(Sum(pod, overhead)).memory_bytes, -1);
}

}  // namespace
}  // namespace caisson::plan
