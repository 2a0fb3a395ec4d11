#pragma once

#include <optional>

#include "absl/strings/string_view.h"

// The names of capabilities(7), as the kernel's headers have them.
namespace caisson::kernel {

// Number of the capability called `name`, in capitals and without "CAP_".
std::optional<int> FindCapability(absl::string_view name);

// Its name without "CAP_"; empty for a number that has none here.
absl::string_view BareCapabilityName(int capability);

}  // namespace caisson::kernel
