#include "tests/security/rows.h"

namespace caisson::cri_test {

Rows RowsOfGroupH() {
  return {
      {"H1", "CgroupEscapeTest.H1AllOfAPodIsBelowItsParent"},
      {"H1", "CgroupEscapeTest.H1LimitsHold"},
      {"H2", "CgroupEscapeTest.H2TheKeeperOutlivesItsPodsMemory"},
      {"H2", "CgroupEscapeTest.H2WithoutAKeeperNothingRuns"},
      {"H3", "CgroupEscapeTest.H3NamesOfFilesStayInTheGroup"},
      {"H4", "CgroupEscapeTest.H4AParentIsPlain"},
      {"H5", "CgroupEscapeTest.H5TheCgroupTreeIsReadOnly"},
      {"H6", "CgroupEscapeTest.H6ASwarmIsStopped"},
      {"H6", "CgroupEscapeTest.H6AFrozenContainerIsStopped"},
  };
}

}  // namespace caisson::cri_test
