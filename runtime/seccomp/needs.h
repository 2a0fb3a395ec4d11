#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caisson::seccomp {

// Whether a container can be started under the filter `program` (struct
// sock_filter[] as bytes; empty: none): it is loaded last, but for execve(2),
// and for capset(2) without no_new_privileges.  InvalidArgument names the call
// that it does not allow.  What depends on a call's arguments is left to the
// kernel.
absl::Status CheckNeeds(absl::string_view program, bool no_new_privileges);

}  // namespace caisson::seccomp
