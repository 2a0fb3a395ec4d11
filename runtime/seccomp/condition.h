#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"

namespace caisson::seccomp {

// The machine that a profile's conditions are held against.
struct Machine {
  uint64_t capabilities = 0;
  int kernel_major = 0;
  int kernel_minor = 0;
  absl::string_view arch;  // in Docker's words: "amd64", "arm64"
};

// The running one.
Machine ThisMachine(uint64_t capabilities);

// Whether `rule` holds by its "includes" and "excludes".
absl::StatusOr<bool> Applies(const json::Value& rule, const Machine& machine);

}  // namespace caisson::seccomp
