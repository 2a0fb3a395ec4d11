#include "tests/security/rows.h"

// Group C: identity, capabilities, LSM, seccomp, the kernel's surface.
namespace caisson::cri_test {

Rows RowsOfGroupC() {
  return {
      {"C1", "ProfileEscapeTest.C1AppArmorIsInForceOrRefused"},
  };
}

}  // namespace caisson::cri_test
