#include "runtime/kernel/selinux_policy.h"

#include <gmock/gmock.h>

namespace caisson::kernel {
namespace {

TEST(ContainerContexts, AreThoseOfTheFile) {
  const auto policy = ParseContainerContexts(
      "# of containers\n"
      "process = \"system_u:system_r:container_t:s0\"\n"
      "content = \"system_u:object_r:virt_var_lib_t:s0\"\n"
      "file=\"system_u:object_r:container_file_t:s0\"\n"
      "ro_file = \"system_u:object_r:container_ro_file_t:s0\"\n");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_TRUE(policy->enabled);
  EXPECT_EQ(policy->process, "system_u:system_r:container_t:s0");
  EXPECT_EQ(policy->file, "system_u:object_r:container_file_t:s0");
}

TEST(ContainerContexts, AFileWithoutThemIsRefused) {
  for (const char* text :
       {"", "process = \"system_u:system_r:container_t:s0\"\n",
        "process = \"container_t\"\nfile = \"container_file_t\"\n"}) {
    EXPECT_EQ(ParseContainerContexts(text).status().code(),
              absl::StatusCode::kFailedPrecondition)
        << text;
  }
}

}  // namespace
}  // namespace caisson::kernel
