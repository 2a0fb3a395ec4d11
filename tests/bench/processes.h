#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::bench {

// Whether one of the alternatives between | in `pattern` is part of `text`.
bool Matches(absl::string_view pattern, absl::string_view text);

// The sum of Pss over all processes but this one whose executable or command
// line matches, in megabytes.
absl::StatusOr<double> ProportionalMegabytes(const std::string& pattern);

// VmRSS of one process, in megabytes.
absl::StatusOr<double> ResidentMegabytes(pid_t pid);

// The process that listens on a unix:// endpoint.
absl::StatusOr<pid_t> ListenerOf(const std::string& endpoint);

// The number after `key` in text of the form "Pss:   12 kB", in megabytes.
absl::StatusOr<double> KilobyteLine(absl::string_view text,
                                    absl::string_view key);

}  // namespace caisson::bench
