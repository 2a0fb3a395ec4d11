#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"

// For the parsers of specs only: an object of the text with its place in it.
namespace caisson::device {

// Versions by their place in the list of all.
enum Version { k030, k040, k050, k060, k070, k080, k100, k110 };

struct Field {
  absl::string_view name;
  Version since = k030;
};

class SpecReader {
 public:
  SpecReader(const json::Value& value, absl::string_view file,
             std::string place, Version version)
      : value_(value),
        file_(file),
        place_(std::move(place)),
        version_(version) {}

  Version version() const { return version_; }

  // InvalidArgument: "read CDI spec FILE: PLACE.KEY WHY".
  absl::Status Bad(absl::string_view key, absl::string_view why) const;

  // An object with no other fields, and none newer than the version.
  absl::Status CheckFields(std::initializer_list<Field> fields) const;

  // Null when absent.
  const json::Value* Find(absl::string_view key) const;

  SpecReader Inner(const json::Value& value, absl::string_view key) const;

  // A list of at most `most` objects; empty when absent.
  absl::StatusOr<std::vector<SpecReader>> List(absl::string_view key,
                                               size_t most) const;

  // Without NUL bytes; empty when absent.
  absl::StatusOr<std::string> Text(absl::string_view key) const;
  absl::StatusOr<std::vector<std::string>> Texts(absl::string_view key) const;

  // Absolute, without ".", ".." and double or last slashes, at most 4095
  // bytes without control characters.
  absl::StatusOr<std::string> Path(absl::string_view key) const;

  absl::StatusOr<std::optional<int64_t>> Number(absl::string_view key,
                                                int64_t least,
                                                int64_t most) const;

 private:
  const json::Value& value_;
  absl::string_view file_;
  std::string place_;
  Version version_;
};

// "NAME=value" each.
absl::Status CheckVariables(const SpecReader& reader, absl::string_view key,
                            const std::vector<std::string>& variables);

}  // namespace caisson::device
