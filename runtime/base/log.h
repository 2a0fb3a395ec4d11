#pragma once

#include "absl/strings/string_view.h"

namespace caisson {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One line to standard error: "2026-11-23T19:04:10.123Z info caissond: ...".
// One write(2) a line, so lines of several threads and processes don't mix;
// control characters are escaped (catalogue C13).  Any thread.
void Log(LogLevel level, absl::string_view message);

inline void LogDebug(absl::string_view m) {
  Log(LogLevel::kDebug, m);
}

inline void LogInfo(absl::string_view m) {
  Log(LogLevel::kInfo, m);
}

inline void LogWarning(absl::string_view m) {
  Log(LogLevel::kWarning, m);
}

inline void LogError(absl::string_view m) {
  Log(LogLevel::kError, m);
}

// Sets the program's name in each line and the least level written.  Call
// once, before other threads exist.  `program` must outlive the process.
void SetUpLog(absl::string_view program, LogLevel least);

}  // namespace caisson
