#include "shim/plan/check.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace caisson::plan {
namespace {

constexpr size_t kShownBytes = 128;
constexpr size_t kMaxName = 253;
constexpr size_t kMaxPath = 4095;

}  // namespace

absl::Status Refuse(absl::string_view field, absl::string_view value,
                    absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("check ", field, ": \"",
                   absl::CHexEscape(value.substr(0, kShownBytes)), "\" ", why));
}

absl::Status CheckText(absl::string_view field, absl::string_view value,
                       size_t max, bool may_be_empty) {
  if (value.empty() && !may_be_empty) {
    return Refuse(field, value, "is empty");
  }
  if (value.size() > max) {
    return Refuse(field, value, absl::StrCat("is longer than ", max, " bytes"));
  }
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Refuse(field, value, "has a control character");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckName(absl::string_view field, absl::string_view value,
                       bool may_be_empty) {
  RETURN_IF_ERROR(CheckText(field, value, kMaxName, may_be_empty));
  if (absl::StrContains(value, "/") || value == "." || value == "..") {
    return Refuse(field, value, "is not a name");
  }
  return absl::OkStatus();
}

absl::Status CheckAbsolutePath(absl::string_view field,
                               absl::string_view value) {
  RETURN_IF_ERROR(CheckText(field, value, kMaxPath, false));
  if (!absl::StartsWith(value, "/")) {
    return Refuse(field, value, "is not an absolute path");
  }
  return absl::OkStatus();
}

absl::Status CheckPlainPath(absl::string_view field, absl::string_view value) {
  RETURN_IF_ERROR(CheckAbsolutePath(field, value));
  if (absl::StrContains(absl::StrCat(value, "/"), "/../")) {
    return Refuse(field, value, "has a \"..\" in it");
  }
  return absl::OkStatus();
}

absl::Status CheckId(absl::string_view field, int64_t value) {
  if (value < 0 || value >= int64_t{identity::kIdLimit}) {
    return Refuse(field, absl::StrCat(value), "is out of range 0..2147483647");
  }
  return absl::OkStatus();
}

}  // namespace caisson::plan
