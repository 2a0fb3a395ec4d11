#include "runtime/device/spec_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::device {
namespace {

constexpr size_t kShown = 128;
constexpr size_t kMaxPath = 4095;

bool IsClean(absl::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPath || path[0] != '/') {
    return false;
  }
  for (absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
  }
  return std::none_of(path.begin(), path.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
}

}  // namespace

absl::Status SpecReader::Bad(absl::string_view key,
                             absl::string_view why) const {
  return absl::InvalidArgumentError(
      absl::StrCat("read CDI spec ", file_, ": ", place_,
                   place_.empty() || key.empty() ? "" : ".",
                   absl::CHexEscape(key.substr(0, kShown)), " ", why));
}

absl::Status SpecReader::CheckFields(
    std::initializer_list<Field> fields) const {
  if (!value_.is_object()) {
    return Bad("", "is not an object");
  }
  for (const auto& member : value_.items()) {
    const std::string& key = member.key();
    const auto known = std::find_if(
        fields.begin(), fields.end(),
        [&](const Field& field) { return key == std::string(field.name); });
    if (known == fields.end()) {
      return Bad(key, "is not a known field");
    }
    if (known->since > version_) {
      return Bad(key, "is not a field of the spec's cdiVersion");
    }
  }
  return absl::OkStatus();
}

const json::Value* SpecReader::Find(absl::string_view key) const {
  return json::Find(value_, key);
}

SpecReader SpecReader::Inner(const json::Value& value,
                             absl::string_view key) const {
  return {value, file_, absl::StrCat(place_, place_.empty() ? "" : ".", key),
          version_};
}

absl::StatusOr<std::vector<SpecReader>> SpecReader::List(absl::string_view key,
                                                         size_t most) const {
  std::vector<SpecReader> list;
  const json::Value* member = Find(key);
  if (member == nullptr) {
    return list;
  }
  if (!member->is_array() || member->size() > most) {
    return Bad(key, absl::StrCat("is not a list of at most ", most));
  }
  for (const json::Value& item : *member) {
    list.push_back(Inner(item, absl::StrCat(key, "[", list.size(), "]")));
    if (!item.is_object()) {
      return list.back().Bad("", "is not an object");
    }
  }
  return list;
}

absl::StatusOr<std::string> SpecReader::Text(absl::string_view key) const {
  absl::StatusOr<std::string> text = json::GetString(value_, key);
  if (!text.ok()) {
    return Bad(key, "is not a string");
  }
  if (text->find('\0') != std::string::npos) {
    return Bad(key, "has a NUL byte");
  }
  return text;
}

absl::StatusOr<std::vector<std::string>> SpecReader::Texts(
    absl::string_view key) const {
  absl::StatusOr<std::vector<std::string>> texts =
      json::GetStrings(value_, key);
  if (!texts.ok()) {
    return Bad(key, "is not a list of strings");
  }
  for (const std::string& text : *texts) {
    if (text.find('\0') != std::string::npos) {
      return Bad(key, "has a NUL byte");
    }
  }
  return texts;
}

absl::StatusOr<std::string> SpecReader::Path(absl::string_view key) const {
  ASSIGN_OR_RETURN(std::string path, Text(key));
  if (!IsClean(path)) {
    return Bad(key, absl::StrCat("\"", absl::CHexEscape(path.substr(0, kShown)),
                                 "\" is not an absolute, clean path"));
  }
  return path;
}

absl::StatusOr<std::optional<int64_t>> SpecReader::Number(absl::string_view key,
                                                          int64_t least,
                                                          int64_t most) const {
  if (Find(key) == nullptr) {
    return std::optional<int64_t>();
  }
  const absl::StatusOr<int64_t> number = json::GetInt(value_, key);
  if (!number.ok() || *number < least || *number > most) {
    return Bad(key, absl::StrCat("is not an integer in ", least, "..", most));
  }
  return std::optional<int64_t>(*number);
}

absl::Status CheckVariables(const SpecReader& reader, absl::string_view key,
                            const std::vector<std::string>& variables) {
  for (const std::string& variable : variables) {
    if (variable.find('=') == std::string::npos || variable[0] == '=') {
      return reader.Bad(
          key, absl::StrCat("\"", absl::CHexEscape(variable.substr(0, kShown)),
                            "\" is not NAME=value"));
    }
  }
  return absl::OkStatus();
}

}  // namespace caisson::device
