#include "runtime/base/trash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "tests/support/await.h"
#include "tests/support/deep_tree.h"
#include "tests/support/machine.h"

namespace caisson {
namespace {

namespace fs = std::filesystem;
using ::caisson::testing::Await;
using ::caisson::testing::MakeDeepTree;
using ::caisson::testing::ReadFile;
using ::caisson::testing::TemporaryDirectory;

class TrashTest : public ::testing::Test {
 protected:
  void Open() {
    trash_.reset();
    auto trash = Trash::Open(path_);
    ASSERT_TRUE(trash.ok()) << trash.status();
    trash_ = *std::move(trash);
  }

  std::string Place(const std::string& name) const {
    return directory_.path() + "/" + name;
  }

  bool BecomesEmpty() const {
    return Await([this] { return fs::is_empty(path_); }, absl::Seconds(60));
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/trash";
  std::unique_ptr<Trash> trash_;
};

TEST_F(TrashTest, WhatIsDiscardedIsGoneAtOnceAndDeletedLater) {
  Open();
  MakeDeepTree(Place("tree"), 500);
  const int64_t before = MonotonicNanos();
  const absl::Status status = trash_->Discard(Place("tree"));
  EXPECT_LT(MonotonicNanos() - before, 50000000);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(fs::exists(Place("tree")));
  EXPECT_TRUE(BecomesEmpty());
}

TEST_F(TrashTest, TakesWhatIsThereFromAnEarlierRun) {
  fs::create_directories(path_ + "/old/below");
  std::ofstream(path_ + "/file") << "x";
  Open();
  EXPECT_TRUE(BecomesEmpty());
}

TEST_F(TrashTest, NothingIsDiscardedAlready) {
  Open();
  EXPECT_TRUE(trash_->Discard(Place("none")).ok());
  EXPECT_TRUE(trash_->Discard(Place("none/none")).ok());
}

TEST_F(TrashTest, FollowsNoLink) {
  Open();
  fs::create_directory(Place("outside"));
  std::ofstream(Place("outside/file")) << "kept";
  fs::create_directory_symlink(Place("outside"), Place("link"));
  fs::create_directory(Place("tree"));
  fs::create_directory_symlink(Place("outside"), Place("tree/link"));
  EXPECT_TRUE(trash_->Discard(Place("link")).ok());
  EXPECT_TRUE(trash_->Discard(Place("tree")).ok());
  EXPECT_TRUE(BecomesEmpty());
  EXPECT_EQ(ReadFile(Place("outside/file")), "kept");
}

TEST_F(TrashTest, ALinkIsNoFolder) {
  fs::create_directory(Place("outside"));
  fs::create_directory_symlink(Place("outside"), path_);
  EXPECT_FALSE(Trash::Open(path_).ok());
}

TEST_F(TrashTest, AnotherFilesystemsIsRefused) {
  Open();
  const absl::Status status = trash_->Discard("/proc/self/task");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("filesystem"));
}

TEST_F(TrashTest, EndsInTheMidstOfALargeTreeAndTheNextRunGoesOn) {
  MakeDeepTree(Place("tree"), 1000);
  Open();
  ASSERT_TRUE(trash_->Discard(Place("tree")).ok());
  const int64_t before = MonotonicNanos();
  trash_.reset();
  EXPECT_LT(MonotonicNanos() - before, 200000000);
  EXPECT_FALSE(fs::is_empty(path_));
  Open();
  EXPECT_TRUE(BecomesEmpty());
}

TEST_F(TrashTest, ManyThreadsDiscard) {
  Open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      for (int j = 0; j < 10; ++j) {
        const std::string tree = Place(absl::StrCat("tree", i, "-", j));
        fs::create_directories(tree + "/a/b");
        EXPECT_TRUE(trash_->Discard(tree).ok());
        EXPECT_FALSE(fs::exists(tree));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(BecomesEmpty());
}

}  // namespace
}  // namespace caisson
