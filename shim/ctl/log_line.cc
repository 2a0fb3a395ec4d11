#include "shim/ctl/log_line.h"

#include "absl/strings/str_cat.h"

namespace caisson::ctl {
namespace {

// Splits off what stands before the next blank.
bool TakeWord(absl::string_view& rest, absl::string_view& word) {
  const size_t blank = rest.find(' ');
  if (blank == absl::string_view::npos || blank == 0) {
    return false;
  }
  word = rest.substr(0, blank);
  rest.remove_prefix(blank + 1);
  return true;
}

}  // namespace

absl::StatusOr<LogLine> ParseLogLine(absl::string_view line) {
  constexpr size_t kShown = 60;
  const absl::Status malformed = absl::DataLossError(
      absl::StrCat("read log: not a log line: ", line.substr(0, kShown)));
  absl::string_view time;
  absl::string_view stream;
  absl::string_view tag;
  if (!TakeWord(line, time) || !TakeWord(line, stream) ||
      !TakeWord(line, tag)) {
    return malformed;
  }
  // Tags after the first, joined by colons, are for later versions.
  tag = tag.substr(0, tag.find(':'));
  if ((stream != "stdout" && stream != "stderr") ||
      (tag != "F" && tag != "P")) {
    return malformed;
  }
  return LogLine{stream == "stderr", tag == "P", line};
}

}  // namespace caisson::ctl
