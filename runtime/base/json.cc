#include "runtime/base/json.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace caisson::json {
namespace {

constexpr int kMaxDepth = 64;

absl::Status WrongType(absl::string_view key, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("read json member ", key, ": not ", wanted));
}

}  // namespace

absl::StatusOr<Value> Parse(absl::string_view text, absl::string_view what) {
  bool too_deep = false;
  const Value::parser_callback_t limit_depth =
      [&](int depth, Value::parse_event_t, Value&) {
        too_deep = too_deep || depth > kMaxDepth;
        return !too_deep;
      };
  Value value = Value::parse(text.begin(), text.end(), limit_depth,
                             /*allow_exceptions=*/false);
  if (value.is_discarded() || too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("parse ", what, ": not valid json"));
  }
  return value;
}

const Value* Find(const Value& object, absl::string_view key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(std::string(key));
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

absl::StatusOr<std::string> GetString(const Value& object,
                                      absl::string_view key) {
  const Value* member = Find(object, key);
  if (member == nullptr) {
    return std::string();
  }
  if (!member->is_string()) {
    return WrongType(key, "a string");
  }
  return member->get_ref<const std::string&>();
}

absl::StatusOr<int64_t> GetInt(const Value& object, absl::string_view key) {
  const Value* member = Find(object, key);
  if (member == nullptr) {
    return 0;
  }
  if (!member->is_number_integer() ||
      (member->is_number_unsigned() &&
       member->get<uint64_t>() > uint64_t{INT64_MAX})) {
    return WrongType(key, "an integer");
  }
  return member->get<int64_t>();
}

absl::StatusOr<bool> GetBool(const Value& object, absl::string_view key) {
  const Value* member = Find(object, key);
  if (member == nullptr) {
    return false;
  }
  if (!member->is_boolean()) {
    return WrongType(key, "a boolean");
  }
  return member->get<bool>();
}

absl::StatusOr<std::vector<std::string>> GetStrings(const Value& object,
                                                    absl::string_view key) {
  std::vector<std::string> result;
  const Value* member = Find(object, key);
  if (member == nullptr) {
    return result;
  }
  if (!member->is_array()) {
    return WrongType(key, "an array");
  }
  for (const Value& item : *member) {
    if (!item.is_string()) {
      return WrongType(key, "an array of strings");
    }
    result.push_back(item.get_ref<const std::string&>());
  }
  return result;
}

std::string Dump(const Value& value) {
  return value.dump(-1, ' ', false, Value::error_handler_t::replace);
}

}  // namespace caisson::json
