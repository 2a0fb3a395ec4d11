#include "runtime/base/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "absl/strings/str_cat.h"

namespace caisson {
namespace {

absl::string_view program_name = "caisson";
LogLevel least_level = LogLevel::kInfo;

absl::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "?";
}

std::string Timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[40];
  const size_t length = strftime(text, sizeof(text), "%FT%T", &parts);
  char fraction[32];
  snprintf(fraction, sizeof(fraction), ".%03ldZ", now.tv_nsec / 1000000);
  return absl::StrCat(absl::string_view(text, length), fraction);
}

}  // namespace

void SetUpLog(absl::string_view program, LogLevel least) {
  program_name = program;
  least_level = least;
}

void Log(LogLevel level, absl::string_view message) {
  if (level < least_level) {
    return;
  }
  std::string line =
      absl::StrCat(Timestamp(), " ", LevelName(level), " ", program_name, ": ");
  for (const char c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppend(
          &line, "\\x",
          absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      line.push_back(c);
    }
  }
  line.push_back('\n');
  // Nowhere is left to report that the log itself failed.
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace caisson
