#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/remove_tree.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ReadFile;
using ::caisson::testing::TemporaryDirectory;

// CVE-2024-23652: a volume that is still mounted below what is removed.
TEST(RemoveTreeRootTest, WhatIsMountedBelowIsKept) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  const std::string volume = directory.path() + "/volume";
  const std::string point = directory.path() + "/tree/a/point";
  fs::create_directories(volume);
  std::ofstream(volume + "/file") << "kept";
  fs::create_directories(point);
  // A bind of the same filesystem: its device number says nothing.
  ASSERT_EQ(mount(volume.c_str(), point.c_str(), nullptr, MS_BIND, nullptr), 0);
  const absl::Status status = RemoveTree(directory.path() + "/tree");
  EXPECT_EQ(umount2(point.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("mounted"));
  EXPECT_EQ(ReadFile(volume + "/file"), "kept");
  EXPECT_TRUE(RemoveTree(directory.path() + "/tree").ok());
}

}  // namespace
}  // namespace caisson
