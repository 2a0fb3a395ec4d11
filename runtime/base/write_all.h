#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caisson {

// Writes all of `bytes` to `fd`, which blocks: waits as long as its reader
// does.  `name` is for the message.  A pipe without a reader is an error where
// SIGPIPE is ignored.
absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view name);

// Makes or replaces the text of the file `path`, whose last component may not
// be a link.  Not atomic, not durable: for files that we alone read or that
// are made again.  `mode` is that of a new file.
absl::Status WriteFile(const std::string& path, absl::string_view bytes,
                       mode_t mode);

}  // namespace caisson
