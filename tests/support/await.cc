#include "tests/support/await.h"

#include "absl/time/clock.h"
#include "runtime/base/deadline.h"

namespace caisson::testing {

bool Await(absl::FunctionRef<bool()> holds, absl::Duration limit) {
  const Deadline deadline = Deadline::After(limit);
  while (!holds()) {
    if (deadline.passed()) {
      return holds();
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace caisson::testing
