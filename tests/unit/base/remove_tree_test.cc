#include "runtime/base/remove_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/deep_tree.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::MakeDeepTree;
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

// No more fds than this for a while.
class FewFds {
 public:
  explicit FewFds(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few = {most, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }

  ~FewFds() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_ = {};
};

TEST(RemoveTreeTest, ADeepTreeTakesFewFiles) {
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  MakeDeepTree(tree, 500);
  const FewFds few(20);
  const absl::Status status = RemoveTree(tree);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(fs::exists(tree));
}

TEST(RemoveTreeTest, WideAndFullAtEachLevel) {
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 8; ++j) {
      const std::string below = absl::StrCat(tree, "/", i, "/", j, "/x/y");
      fs::create_directories(below);
      std::ofstream(below + "/file") << "x";
      std::ofstream(absl::StrCat(tree, "/", i, "/f", j)) << "x";
    }
  }
  const absl::Status status = RemoveTree(tree);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(fs::exists(tree));
}

TEST(RemoveTreeTest, ModesKeepNothing) {
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  fs::create_directories(tree + "/work/work/below");
  if (::caisson::testing::IsRoot()) {
    // As the kernel leaves an overlay's.
    chmod((tree + "/work/work").c_str(), 0);
  }
  const absl::Status status = RemoveTree(tree);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(RemoveTreeTest, WhatIsAddedMeanwhileGoesToo) {
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  fs::create_directories(tree + "/a/b");
  const UniqueFd below(open((tree + "/a/b").c_str(), O_PATH | O_CLOEXEC));
  std::atomic<bool> started = false;
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) {
      // Until the directory is gone.
      if (mkdirat(below.get(), std::to_string(i).c_str(), 0700) != 0) {
        break;
      }
      started = true;
    }
  });
  while (!started) {
    std::this_thread::yield();
  }
  const absl::Status status = RemoveTree(tree);
  writer.join();
  EXPECT_TRUE(status.ok() || RemoveTree(tree).ok()) << status;
  EXPECT_FALSE(fs::exists(tree));
}

TEST(RemoveTreeTest, EndsWhenItIsTold) {
  const TemporaryDirectory directory;
  const std::string tree = directory.path() + "/tree";
  MakeDeepTree(tree, 100);
  std::atomic<bool> stop = true;
  EXPECT_TRUE(absl::IsCancelled(RemoveTree(tree, &stop)));
  EXPECT_TRUE(fs::exists(tree));
  stop = false;
  EXPECT_TRUE(RemoveTree(tree, &stop).ok());
  EXPECT_FALSE(fs::exists(tree));
}

}  // namespace
}  // namespace caisson
