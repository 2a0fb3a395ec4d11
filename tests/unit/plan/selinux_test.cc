#include "shim/plan/selinux.h"

#include <gmock/gmock.h>

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;
using ::testing::HasSubstr;

const Selinux kPolicy = {true, "system_u:system_r:container_t:s0",
                         "system_u:object_r:container_file_t:s0"};

struct Case {
  const char* name;
  cri::SELinuxOption options;
  bool privileged;
  const char* process;
  const char* file;
};

cri::SELinuxOption Options(const char* user, const char* role, const char* type,
                           const char* level) {
  cri::SELinuxOption options;
  options.set_user(user);
  options.set_role(role);
  options.set_type(type);
  options.set_level(level);
  return options;
}

class ContextsTest : public ::testing::TestWithParam<Case> {};

TEST_P(ContextsTest, AreOfThePolicyThePodAndTheOptions) {
  const auto contexts = ChooseContexts(kPolicy, GetParam().options, "s0:c4,c5",
                                       GetParam().privileged, "field");
  ASSERT_TRUE(contexts.ok()) << contexts.status();
  EXPECT_EQ(contexts->process, GetParam().process);
  EXPECT_EQ(contexts->file, GetParam().file);
}

INSTANTIATE_TEST_SUITE_P(
    All, ContextsTest,
    ::testing::Values(Case{"Plain", Options("", "", "", ""), false,
                           "system_u:system_r:container_t:s0:c4,c5",
                           "system_u:object_r:container_file_t:s0:c4,c5"},
                      Case{"Type", Options("", "", "web_t", ""), false,
                           "system_u:system_r:web_t:s0:c4,c5",
                           "system_u:object_r:container_file_t:s0:c4,c5"},
                      Case{"Level", Options("", "", "", "s0:c1.c3"), false,
                           "system_u:system_r:container_t:s0:c1.c3",
                           "system_u:object_r:container_file_t:s0:c1.c3"},
                      Case{"UserAndRole", Options("u", "r", "", ""), false,
                           "u:r:container_t:s0:c4,c5",
                           "u:object_r:container_file_t:s0:c4,c5"},
                      Case{"Privileged", Options("", "", "", ""), true,
                           "system_u:system_r:spc_t:s0",
                           "system_u:object_r:container_file_t:s0:c4,c5"},
                      Case{"PrivilegedType", Options("", "", "web_t", ""), true,
                           "system_u:system_r:web_t:s0",
                           "system_u:object_r:container_file_t:s0:c4,c5"}),
    [](const auto& one) { return one.param.name; });

TEST(Contexts, AreRefusedWhereTheyCannotBe) {
  const cri::SELinuxOption none;
  const auto without = ChooseContexts({}, none, "", false, "field");
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(without->process + without->file, "");
  const absl::Status asked =
      ChooseContexts({}, Options("", "", "spc_t", ""), "", false, "field")
          .status();
  EXPECT_EQ(asked.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(asked.message()),
      HasSubstr("field: \"::spc_t:\" is asked for, and SELinux is not"));
  for (const cri::SELinuxOption& bad :
       {Options("", "", "a:b", ""), Options("a\n", "", "", ""),
        Options("", "b:", "", ""), Options("", "", "", "s0\n")}) {
    EXPECT_EQ(ChooseContexts(kPolicy, bad, "s0:c4,c5", false, "field")
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument)
        << bad.ShortDebugString();
  }
}

TEST(PodLevel, IsAskedForOrOfItsOwn) {
  EXPECT_EQ(PodLevel(kPolicy, {}, 3, 900), "s0:c3,c900");
  EXPECT_EQ(PodLevel(kPolicy, Options("", "", "", "s0"), 3, 900), "s0");
}

}  // namespace
}  // namespace caisson::plan
