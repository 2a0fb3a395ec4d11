#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"

// Hooks: programs that run at moments of a container's life (OCI runtime
// specification, "POSIX-platform Hooks").
namespace caisson::device {

enum class Moment {
  kPrestart,
  kCreateRuntime,
  kCreateContainer,
  kStartContainer,
  kPoststart,
  kPoststop,
};

// As a spec writes it: "createRuntime".
absl::string_view MomentName(Moment moment);
std::optional<Moment> FindMoment(absl::string_view name);

struct Hook {
  Moment moment = Moment::kPrestart;
  std::string path;
  std::vector<std::string> arguments;    // the whole argv
  std::vector<std::string> environment;  // the whole environment
  uint32_t timeout_seconds = 0;          // 0: not said
};

// Runs a hook to its end in the caller's namespaces: with its own environment
// and nothing else, in "/", `state` on standard input.  `timeout` holds for a
// hook that names none; whichever it is, `deadline` ends it, too, and all of
// its process group.  `confine` is that of kernel::Command.  Errors name the
// hook, and have the end of what it wrote.
absl::Status RunHook(const Hook& hook, const std::string& state,
                     absl::Duration timeout, Deadline deadline,
                     std::function<absl::Status()> confine = nullptr);

}  // namespace caisson::device
