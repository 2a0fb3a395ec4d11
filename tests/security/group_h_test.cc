#include <gtest/gtest.h>

#include "tests/security/rows.h"
#include "tests/security/security_fixture.h"

// Group H: cgroups and resource containment.
namespace caisson::cri_test {
namespace {

class CgroupEscapeTest : public SecurityTest {};

CAISSON_BOTH_MODES(CgroupEscapeTest);

// CVE-2023-25809.
TEST_P(CgroupEscapeTest, H5TheCgroupTreeIsReadOnly) {
  const std::string container = Start(ModePod());
  EXPECT_EQ(Sh(container, "mkdir /sys/fs/cgroup/x").exit_code, 1);
  EXPECT_EQ(Try(container, {"write", "/sys/fs/cgroup/cgroup.procs", "0"}),
            "EROFS");
}

}  // namespace

Rows RowsOfGroupH() {
  return {
      {"H5", "CgroupEscapeTest.H5TheCgroupTreeIsReadOnly"},
  };
}

}  // namespace caisson::cri_test
