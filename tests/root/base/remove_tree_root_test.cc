#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/remove_tree.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/deep_tree.h"
#include "tests/support/immutable_file.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ImmutableFile;
using ::caisson::testing::MakeDeepTree;
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

// Each level made below the one before: no path is as long as that.
TEST(RemoveTreeRootTest, NoDepthIsTooDeep) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  // In memory: some disks take a millisecond for each level.
  const char* place = directory.path().c_str();
  ASSERT_EQ(mount("tmpfs", place, "tmpfs", 0, nullptr), 0);
  const std::string tree = directory.path() + "/tree";
  MakeDeepTree(tree, 50000);
  const absl::Status status = RemoveTree(tree);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(fs::exists(tree));
  EXPECT_EQ(umount2(place, MNT_DETACH), 0);
}

TEST(RemoveTreeRootTest, ManyEntriesAreNotListed) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  const char* place = directory.path().c_str();
  ASSERT_EQ(mount("tmpfs", place, "tmpfs", 0, nullptr), 0);
  const std::string tree = directory.path() + "/tree";
  fs::create_directories(tree + "/a");
  const UniqueFd below(open((tree + "/a").c_str(), O_PATH | O_CLOEXEC));
  for (int i = 0; i < 300000; ++i) {
    mknodat(below.get(), std::to_string(i).c_str(), S_IFREG | 0600, 0);
  }
  // Of the process, in KiB.
  rusage before = {};
  getrusage(RUSAGE_SELF, &before);
  const absl::Status status = RemoveTree(tree);
  rusage after = {};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 4096);
  EXPECT_EQ(umount2(place, MNT_DETACH), 0);
}

// What can't be removed keeps its way up, and nothing else.
TEST(RemoveTreeRootTest, TheRestGoesWhenOneFileIsImmutable) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  fs::create_directories(tree + "/a/kept");
  fs::create_directories(tree + "/a/gone/below");
  std::ofstream(tree + "/a/gone/below/file") << "x";
  std::ofstream(tree + "/z") << "x";
  std::ofstream(tree + "/a/kept/file") << "x";
  const ImmutableFile file(tree + "/a/kept/file");
  CAISSON_REQUIRE(file.ok(), "needs a filesystem with immutable files");
  const absl::Status status = RemoveTree(tree);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(tree)) {
    files += entry.is_directory() ? 0 : 1;
    EXPECT_THAT(entry.path().string(),
                ::testing::Not(::testing::HasSubstr("gone")));
  }
  EXPECT_EQ(files, 1);
  file.Clear();
  EXPECT_TRUE(RemoveTree(tree).ok());
}

}  // namespace
}  // namespace caisson
