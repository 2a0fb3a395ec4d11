#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/trash.h"
#include "tests/support/await.h"
#include "tests/support/immutable_file.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::Await;
using ::caisson::testing::ImmutableFile;
using ::caisson::testing::ReadFile;
using ::caisson::testing::TemporaryDirectory;

TEST(TrashRootTest, WhatCannotBeDeletedStaysAndIsTriedAgain) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  const std::string folder = directory.path() + "/trash";
  const std::string tree = directory.path() + "/tree";
  const std::string other = directory.path() + "/other";
  fs::create_directories(tree + "/a");
  fs::create_directories(other);
  std::ofstream(tree + "/a/file") << "x";
  const ImmutableFile file(tree + "/a/file");
  CAISSON_REQUIRE(file.ok(), "needs a filesystem with immutable files");
  auto trash = Trash::Open(folder, absl::Milliseconds(20));
  ASSERT_TRUE(trash.ok()) << trash.status();
  EXPECT_TRUE((*trash)->Discard(tree).ok());
  // It holds up no other.
  EXPECT_TRUE((*trash)->Discard(other).ok());
  const auto entries = [&] {
    return std::distance(fs::directory_iterator(folder), {});
  };
  EXPECT_TRUE(Await([&] { return entries() == 1; }));
  EXPECT_FALSE(fs::exists(tree));
  file.Clear();
  EXPECT_TRUE(Await([&] { return entries() == 0; }));
}

// CVE-2024-23652 again: the tree moves with its mount, which is not crossed.
TEST(TrashRootTest, WhatIsMountedBelowIsKept) {
  CAISSON_REQUIRE_ROOT();
  const TemporaryDirectory directory;
  const std::string folder = directory.path() + "/trash";
  const std::string volume = directory.path() + "/volume";
  const std::string point = directory.path() + "/tree/point";
  fs::create_directories(volume);
  std::ofstream(volume + "/file") << "kept";
  fs::create_directories(point);
  ASSERT_EQ(mount(volume.c_str(), point.c_str(), nullptr, MS_BIND, nullptr), 0);
  auto trash = Trash::Open(folder, absl::Milliseconds(20));
  ASSERT_TRUE(trash.ok()) << trash.status();
  EXPECT_EQ((*trash)->Discard(point).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE((*trash)->Discard(directory.path() + "/tree").ok());
  const std::string moved =
      fs::directory_iterator(folder)->path().string() + "/point";
  EXPECT_EQ(ReadFile(moved + "/file"), "kept");
  EXPECT_EQ(umount2(moved.c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(Await([&] { return fs::is_empty(folder); }));
  EXPECT_EQ(ReadFile(volume + "/file"), "kept");
}

}  // namespace
}  // namespace caisson
