#include "runtime/base/remove_tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::ReadFile;
using ::caisson::testing::TemporaryDirectory;

TEST(RemoveTreeTest, RemovesAllAndFollowsNoLink) {
  const TemporaryDirectory directory;
  const std::string outside = directory.path() + "/outside";
  const std::string tree = directory.path() + "/tree";
  fs::create_directories(outside);
  std::ofstream(outside + "/file") << "kept";
  fs::create_directories(tree + "/a/b");
  for (int i = 0; i < 1000; ++i) {
    std::ofstream(tree + "/a/" + std::to_string(i)) << "x";
  }
  fs::create_directory_symlink(outside, tree + "/a/b/link");
  mkfifo((tree + "/fifo").c_str(), 0600);
  const absl::Status status = RemoveTree(tree);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(fs::exists(tree));
  EXPECT_EQ(ReadFile(outside + "/file"), "kept");
}

TEST(RemoveTreeTest, ATreeThatIsNotThereIsRemoved) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(RemoveTree(directory.path() + "/none").ok());
}

TEST(RemoveTreeTest, ALinkIsNoTree) {
  const TemporaryDirectory directory;
  fs::create_directory(directory.path() + "/outside");
  fs::create_directory_symlink("outside", directory.path() + "/link");
  EXPECT_FALSE(RemoveTree(directory.path() + "/link").ok());
  EXPECT_TRUE(fs::exists(directory.path() + "/outside"));
}

}  // namespace
}  // namespace caisson
