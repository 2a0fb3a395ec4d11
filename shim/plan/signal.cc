#include "shim/plan/signal.h"

#include <csignal>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"

namespace caisson::plan {
namespace {

// Other names of signals, which sigabbrev_np() does not tell.
constexpr struct {
  const char* name;
  int signal;
} kAliases[] = {{"CLD", SIGCHLD}, {"IO", SIGPOLL}, {"IOT", SIGABRT}};

// `rest` is what follows the base's name: nothing, or a sign and a number.
absl::StatusOr<int> Offset(absl::string_view text, absl::string_view rest,
                           int base) {
  int offset = 0;
  const bool is_signed =
      absl::StartsWith(rest, "+") || absl::StartsWith(rest, "-");
  if (!rest.empty() && (!is_signed || !absl::SimpleAtoi(rest, &offset))) {
    return Refuse("stop_signal", text, "is not a signal");
  }
  const int64_t signal = int64_t{base} + offset;
  if (signal < SIGRTMIN || signal > SIGRTMAX) {
    return Refuse("stop_signal", text, "is out of range");
  }
  return static_cast<int>(signal);
}

}  // namespace

absl::StatusOr<int> ParseSignal(const std::string& text) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    if (number < 1 || number > SIGRTMAX) {
      return Refuse("stop_signal", text, "is out of range");
    }
    return number;
  }
  const std::string upper = absl::AsciiStrToUpper(text);
  absl::string_view name = absl::StripPrefix(upper, "SIG");
  if (absl::ConsumePrefix(&name, "RTMIN")) {
    return Offset(text, name, SIGRTMIN);
  }
  if (absl::ConsumePrefix(&name, "RTMAX")) {
    return Offset(text, name, SIGRTMAX);
  }
  for (const auto& alias : kAliases) {
    if (name == alias.name) {
      return alias.signal;
    }
  }
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    const char* known = sigabbrev_np(signal);
    if (known != nullptr && name == known) {
      return signal;
    }
  }
  return Refuse("stop_signal", text, "is not a signal");
}

absl::StatusOr<int> FromCri(runtime::v1::Signal signal) {
  if (!runtime::v1::Signal_IsValid(signal)) {
    return Refuse("config.stop_signal", absl::StrCat(static_cast<int>(signal)),
                  "is not a signal");
  }
  // The enum's names are the signals'.
  const std::string& name = runtime::v1::Signal_Name(signal);
  absl::string_view text = name;
  absl::ConsumePrefix(&text, "SIGNAL_");
  if (text == "RUNTIME_DEFAULT") {
    return 0;
  }
  std::string plain(text);
  if (const size_t plus = plain.find("PLUS"); plus != std::string::npos) {
    plain.replace(plus, 4, "+");
  }
  if (const size_t minus = plain.find("MINUS"); minus != std::string::npos) {
    plain.replace(minus, 5, "-");
  }
  return ParseSignal(plain);
}

runtime::v1::Signal ToCri(int signal) {
  const google::protobuf::EnumDescriptor* names =
      runtime::v1::Signal_descriptor();
  for (int i = 0; i < names->value_count(); ++i) {
    const auto value =
        static_cast<runtime::v1::Signal>(names->value(i)->number());
    const absl::StatusOr<int> number = FromCri(value);
    if (number.ok() && *number == signal) {
      return value;
    }
  }
  return static_cast<runtime::v1::Signal>(0);
}

}  // namespace caisson::plan
