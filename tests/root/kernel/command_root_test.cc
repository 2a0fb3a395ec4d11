#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/command.h"
#include "tests/support/machine.h"

namespace caisson::kernel {
namespace {

using caisson::testing::ReadFile;

// A cgroup of the v2 hierarchy, wherever it is mounted.
class CommandCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CAISSON_REQUIRE_ROOT();
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      if (access(absl::StrCat(mount, "/cgroup.controllers").c_str(), F_OK) ==
          0) {
        path_ = absl::StrCat(mount, "/caisson-command-test.", getpid());
      }
    }
    CAISSON_REQUIRE(!path_.empty(), "needs cgroup2");
    ASSERT_EQ(mkdir(path_.c_str(), 0755), 0);
    fd_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    run_.program = "/bin/sh";
    run_.environment = {"PATH=/usr/bin:/bin"};
    run_.cgroup = fd_.get();
  }

  void TearDown() override {
    if (!path_.empty()) {
      EXPECT_TRUE(BecomesEmpty());
      EXPECT_EQ(rmdir(path_.c_str()), 0);
    }
  }

  bool BecomesEmpty() {
    const Deadline deadline = Deadline::After(absl::Seconds(10));
    while (!deadline.passed()) {
      if (absl::StrContains(ReadFile(path_ + "/cgroup.events"),
                            "populated 0")) {
        return true;
      }
    }
    return false;
  }

  std::string path_;
  UniqueFd fd_;
  Command run_;
};

TEST_F(CommandCgroupTest, AProgramIsBornInItsCgroup) {
  run_.arguments = {"sh", "-c", "cat /proc/self/cgroup; cat; pwd; exit 3"};
  run_.input = "told\n";
  run_.deadline = Deadline::After(absl::Seconds(20));
  const auto result = RunCommand(run_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(absl::StrContains(result->output, "/caisson-command-test."))
      << result->output;
  EXPECT_TRUE(absl::EndsWith(result->output, "told\n/\n")) << result->output;
  EXPECT_EQ(result->status, 3);
  run_.program = path_ + "/absent";
  const auto absent = RunCommand(run_);
  ASSERT_TRUE(absent.ok()) << absent.status();
  EXPECT_EQ(absent->status, 127);
  EXPECT_TRUE(absl::StrContains(absent->error_tail, "No such file"));
}

// Neither a session of its own nor a parent that is gone saves it.
TEST_F(CommandCgroupTest, TheDeadlineReachesAllThatTheProgramStarted) {
  run_.arguments = {"sh", "-c",
                    "setsid sh -c 'sleep 300 & sleep 300 &'; sleep 300"};
  run_.deadline = Deadline::After(absl::Milliseconds(500));
  EXPECT_EQ(RunCommand(run_).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(BecomesEmpty());
}

}  // namespace
}  // namespace caisson::kernel
