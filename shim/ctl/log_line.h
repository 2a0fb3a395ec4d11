#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::ctl {

// One line of a container's log as the CRI defines it:
// "2026-11-23T19:04:10.123456789Z stdout F text".
struct LogLine {
  bool is_stderr = false;
  bool partial = false;  // the next line goes on where this one ends
  absl::string_view text;
};

// Reads a line without its newline; `text` points into it.
absl::StatusOr<LogLine> ParseLogLine(absl::string_view line);

}  // namespace caisson::ctl
