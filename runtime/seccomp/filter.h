#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::seccomp {

// One compilation, uncached: see Compiler::Compile.  One at a time.
absl::StatusOr<std::string> CompileProfile(absl::string_view profile,
                                           uint64_t capabilities);

}  // namespace caisson::seccomp
