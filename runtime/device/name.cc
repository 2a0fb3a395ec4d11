#include "runtime/device/name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace caisson::device {
namespace {

constexpr size_t kLongest = 253;

bool IsLetter(char c) {
  return absl::ascii_isalpha(static_cast<unsigned char>(c));
}

bool IsLetterOrDigit(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c));
}

bool HasOnly(absl::string_view text, absl::string_view signs) {
  return !text.empty() && text.size() <= kLongest &&
         IsLetterOrDigit(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return IsLetterOrDigit(c) || signs.find(c) != signs.npos;
         });
}

}  // namespace

bool IsVendor(absl::string_view text) {
  return HasOnly(text, "_-.") && IsLetter(text.front());
}

bool IsClass(absl::string_view text) {
  return IsVendor(text);
}

bool IsDevice(absl::string_view text) {
  return HasOnly(text, "_-.:") && IsLetterOrDigit(text.front());
}

bool IsKind(absl::string_view text) {
  const size_t slash = text.find('/');
  return slash != text.npos && IsVendor(text.substr(0, slash)) &&
         IsClass(text.substr(slash + 1));
}

absl::Status CheckQualifiedName(absl::string_view name) {
  const size_t equals = name.find('=');
  if (equals == name.npos || !IsKind(name.substr(0, equals)) ||
      !IsDevice(name.substr(equals + 1))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "check CDI device: \"", absl::CHexEscape(name.substr(0, kLongest)),
        "\" is not of the form vendor.com/class=name"));
  }
  return absl::OkStatus();
}

}  // namespace caisson::device
