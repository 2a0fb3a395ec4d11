#include "runtime/seccomp/needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/seccomp/profile.h"

namespace caisson::seccomp {
namespace {

using ::testing::HasSubstr;

std::string Compiled(const std::string& fallback, const std::string& rules) {
  const absl::StatusOr<std::string> program = Compiler::Create()->Compile(
      absl::StrCat(R"({"defaultAction": ")", fallback, R"(", "syscalls": [)",
                   rules, "]}"),
      0);
  EXPECT_TRUE(program.ok()) << program.status();
  return program.value_or("");
}

std::string Rule(const std::string& names, const std::string& action) {
  return absl::StrCat(R"({"names": [)", names, R"(], "action": ")", action,
                      R"("})");
}

TEST(NeedsTest, TwoCallsAreEnough) {
  const std::string both = Compiled(
      "SCMP_ACT_KILL_PROCESS", Rule(R"("execve", "capset")", "SCMP_ACT_ALLOW"));
  EXPECT_TRUE(CheckNeeds(both, false).ok());
  EXPECT_TRUE(CheckNeeds(both, true).ok());
  EXPECT_TRUE(CheckNeeds("", false).ok());
  const absl::StatusOr<std::string> usual =
      Compiler::Create()->Compile(DefaultProfile(), 0);
  ASSERT_TRUE(usual.ok());
  EXPECT_TRUE(CheckNeeds(*usual, false).ok());
}

TEST(NeedsTest, WhatIsForbiddenIsNamed) {
  for (const char* action : {"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL",
                             "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO"}) {
    const std::string no_execve =
        Compiled(action, Rule(R"("read", "capset")", "SCMP_ACT_ALLOW"));
    EXPECT_THAT(std::string(CheckNeeds(no_execve, true).message()),
                HasSubstr("does not allow execve"))
        << action;
    const std::string no_capset =
        Compiled("SCMP_ACT_ALLOW", Rule(R"("capset")", action));
    EXPECT_THAT(std::string(CheckNeeds(no_capset, false).message()),
                HasSubstr("does not allow capset"))
        << action;
    EXPECT_TRUE(CheckNeeds(no_capset, true).ok()) << action;
  }
  EXPECT_TRUE(
      CheckNeeds(Compiled("SCMP_ACT_LOG", Rule(R"("read")", "SCMP_ACT_ALLOW")),
                 false)
          .ok());
}

// The kernel knows what they will be.
TEST(NeedsTest, ArgumentsAreNotGuessed) {
  const std::string some = Compiled(
      "SCMP_ACT_ERRNO",
      R"({"names": ["execve", "capset"], "action": "SCMP_ACT_ALLOW", "args":
          [{"index": 0, "value": 0, "op": "SCMP_CMP_NE"}]})");
  EXPECT_TRUE(CheckNeeds(some, false).ok());
  // What is no filter is the kernel's to refuse.
  EXPECT_TRUE(CheckNeeds(std::string(64, '\xff'), false).ok());
}

}  // namespace
}  // namespace caisson::seccomp
