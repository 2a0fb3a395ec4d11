#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson {

// The text of the regular file `path` (of procfs, cgroupfs and sysfs, too,
// whose files say that they are empty), which is no longer than `most` bytes: a
// longer file, and what isn't one (a device has no end, a pipe makes its
// reader wait), is InvalidArgument.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path,
                                            size_t most);

// All that is left to be read from `fd`; more than `most` bytes are
// InvalidArgument.  `name` is for the message.
absl::StatusOr<std::string> ReadToEnd(int fd, size_t most,
                                      absl::string_view name);

}  // namespace caisson
