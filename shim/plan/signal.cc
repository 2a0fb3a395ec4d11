#include "shim/plan/signal.h"

#include <csignal>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"

namespace caisson::plan {
namespace {

absl::StatusOr<int> Offset(absl::string_view text, int base) {
  int offset = 0;
  if (!text.empty() && !absl::SimpleAtoi(text, &offset)) {
    return Refuse("stop_signal", text, "is not a signal");
  }
  const int signal = base + offset;
  if (signal < SIGRTMIN || signal > SIGRTMAX) {
    return Refuse("stop_signal", text, "is out of range");
  }
  return signal;
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
    return Offset(name, SIGRTMIN);
  }
  if (absl::ConsumePrefix(&name, "RTMAX")) {
    return Offset(name, SIGRTMAX);
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
