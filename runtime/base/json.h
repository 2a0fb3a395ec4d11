#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// JSON from outside.  nlohmann's own accessors abort on a wrong type in a
// build without exceptions, so data from an image, a registry, a plugin or a
// client is read through these only.
namespace caisson::json {

using Value = nlohmann::json;

// Parses `text`; InvalidArgument naming `what` when it isn't JSON or is
// nested deeper than 64 levels.
absl::StatusOr<Value> Parse(absl::string_view text, absl::string_view what);

// The member `key` of `object` in the type asked for.  An absent or null
// member gives the type's empty value; another type gives InvalidArgument
// naming the key.
absl::StatusOr<std::string> GetString(const Value& object,
                                      absl::string_view key);
absl::StatusOr<int64_t> GetInt(const Value& object, absl::string_view key);
absl::StatusOr<bool> GetBool(const Value& object, absl::string_view key);
absl::StatusOr<std::vector<std::string>> GetStrings(const Value& object,
                                                    absl::string_view key);

// The member `key`, or nullptr when `object` isn't an object or lacks it.
const Value* Find(const Value& object, absl::string_view key);

// Compact text; bytes that aren't UTF-8 are replaced, never fatal.
std::string Dump(const Value& value);

}  // namespace caisson::json
