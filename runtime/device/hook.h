#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/device/spec.h"

namespace caisson::device {

// The container as its hooks are told of it: the state of OCI's runtime
// specification.
struct HookState {
  std::string id;
  std::string status;  // creating, running or stopped
  int pid = 0;         // 0: none
  std::string bundle;  // the container's directory on the host
  std::map<std::string, std::string> annotations;
};

// Runs a hook on the host to its end: with its own environment and nothing
// else, in "/", the state on standard input.  `timeout` holds for a hook that
// names none.  Errors name the hook, and have the end of what it wrote.
absl::Status RunHook(const Hook& hook, const HookState& state,
                     absl::Duration timeout);

}  // namespace caisson::device
