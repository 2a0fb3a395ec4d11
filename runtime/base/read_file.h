#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace caisson {

// The text of the regular file `path`, which is no longer than `most` bytes:
// a longer file, and what isn't one (a device has no end, a pipe makes its
// reader wait), is InvalidArgument.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path,
                                            size_t most);

}  // namespace caisson
