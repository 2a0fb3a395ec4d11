#pragma once

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace caisson::testing {

// Whether `holds` became true within `limit`; it is asked again and again, the
// last time after the limit.  For what nobody tells us of: a process that ends,
// a file that another program writes.
bool Await(absl::FunctionRef<bool()> holds,
           absl::Duration limit = absl::Seconds(20));

}  // namespace caisson::testing
