#include "runtime/seccomp/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>

#include "absl/strings/str_cat.h"

namespace caisson::seccomp {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::string> Compile(const std::string& profile,
                                    uint64_t capabilities = 0) {
  return Compiler::Create()->Compile(profile, capabilities);
}

std::string Profile(const std::string& default_action,
                    const std::string& rule) {
  return absl::StrCat(R"({"defaultAction": ")", default_action,
                      R"(", "syscalls": [)", rule, "]}");
}

TEST(ProfileTest, TheDefaultProfileCompilesForEveryCapability) {
  const auto compiler = Compiler::Create();
  for (int capability = -1; capability <= CAP_LAST_CAP; ++capability) {
    const uint64_t set = capability < 0 ? 0 : uint64_t{1} << capability;
    absl::StatusOr<std::string> program =
        compiler->Compile(DefaultProfile(), set);
    ASSERT_TRUE(program.ok()) << program.status();
    EXPECT_GT(program->size(), 100 * sizeof(sock_filter));
    EXPECT_EQ(program->size() % sizeof(sock_filter), 0u);
  }
  EXPECT_TRUE(compiler->Compile(DefaultProfile(), ~uint64_t{0}).ok());
}

TEST(ProfileTest, CapabilitiesSelectRules) {
  const auto compiler = Compiler::Create();
  const std::string none = *compiler->Compile(DefaultProfile(), 0);
  EXPECT_EQ(none, *compiler->Compile(DefaultProfile(), 0));
  EXPECT_NE(none,
            *compiler->Compile(DefaultProfile(), uint64_t{1} << CAP_SYS_ADMIN));
}

TEST(ProfileTest, RefusesWhatIsNoProfile) {
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("{}"),
        Profile("SCMP_ACT_MAYBE", ""), Profile("SCMP_ACT_NOTIFY", ""),
        Profile("SCMP_ACT_ERRNO",
                R"({"names": ["read"], "action": "SCMP_ACT_NOTIFY"})"),
        Profile("SCMP_ACT_ERRNO", R"("read")"),
        Profile("SCMP_ACT_ERRNO",
                R"({"names": "read", "action": "SCMP_ACT_ALLOW"})"),
        Profile("SCMP_ACT_ERRNO", R"({"names": ["read"],
                "action": "SCMP_ACT_ALLOW", "args": [{"index": 6,
                "op": "SCMP_CMP_EQ"}]})"),
        Profile("SCMP_ACT_ERRNO", R"({"names": ["read"],
                "action": "SCMP_ACT_ALLOW", "args": [{"index": 0,
                "op": "EQ"}]})"),
        Profile("SCMP_ACT_ERRNO", R"({"names": ["read"],
                "action": "SCMP_ACT_ALLOW", "includes": {"caps":
                ["CAP_NONE"]}})"),
        std::string(R"({"defaultAction": "SCMP_ACT_ALLOW",
                    "architectures": ["SCMP_ARCH_VAX"]})")}) {
    EXPECT_EQ(Compile(text).status().code(), absl::StatusCode::kInvalidArgument)
        << text << Compile(text).status();
  }
}

TEST(ProfileTest, UnknownSyscallsNeverWeakenAProfile) {
  EXPECT_TRUE(Compile(Profile("SCMP_ACT_ERRNO", R"({"names":
      ["no_such_call"], "action": "SCMP_ACT_ALLOW"})"))
                  .ok());
  absl::StatusOr<std::string> weak = Compile(
      Profile("SCMP_ACT_ALLOW",
              R"({"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"})"));
  EXPECT_THAT(weak.status().message(), HasSubstr("no_such_call"));
}

TEST(ProfileTest, ConditionsOnOneArgumentAreAlternatives) {
  EXPECT_TRUE(Compile(Profile("SCMP_ACT_ALLOW", R"({"names": ["personality"],
      "action": "SCMP_ACT_KILL_PROCESS", "args": [
      {"index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"},
      {"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]})"))
                  .ok());
}

TEST(ProfileTest, KernelVersionsSelectRules) {
  const std::string old = *Compile(Profile("SCMP_ACT_ERRNO", R"({"names":
      ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel":
      "4.8"}})"));
  const std::string future = *Compile(Profile("SCMP_ACT_ERRNO", R"({"names":
      ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel":
      "99.0"}})"));
  EXPECT_NE(old, future);
}

}  // namespace
}  // namespace caisson::seccomp
