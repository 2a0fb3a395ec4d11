#include "runtime/device/yaml.h"

#include <yaml.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"

namespace caisson::device {
namespace {

constexpr int kMaxDepth = 32;

// The events of a text, one at a time.
class Events {
 public:
  Events(absl::string_view text, absl::string_view what) : what_(what) {
    ok_ = yaml_parser_initialize(&parser_) == 1;
    if (ok_) {
      yaml_parser_set_input_string(
          &parser_, reinterpret_cast<const unsigned char*>(text.data()),
          text.size());
    }
  }

  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  ~Events() {
    Drop();
    if (ok_) {
      yaml_parser_delete(&parser_);
    }
  }

  // The next one replaces the last.
  absl::Status Next() {
    Drop();
    if (!ok_ || yaml_parser_parse(&parser_, &event_) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "parse ", what_, ": line ", parser_.problem_mark.line + 1, ": ",
          parser_.problem == nullptr ? "not valid yaml" : parser_.problem));
    }
    held_ = true;
    return absl::OkStatus();
  }

  const yaml_event_t& event() const { return event_; }

  yaml_event_type_t type() const { return event_.type; }

  absl::Status Bad(absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(
        "parse ", what_, ": line ", event_.start_mark.line + 1, ": ", why));
  }

 private:
  void Drop() {
    if (held_) {
      yaml_event_delete(&event_);
      held_ = false;
    }
  }

  absl::string_view what_;
  yaml_parser_t parser_ = {};
  yaml_event_t event_ = {};
  bool ok_ = false;
  bool held_ = false;
};

// An integer in YAML 1.1: 10, 0x1f, 0o17, 017.
bool ReadInteger(absl::string_view text, int64_t& number) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  if (!negative) {
    absl::ConsumePrefix(&text, "+");
  }
  int base = 10;
  if (absl::ConsumePrefix(&text, "0x")) {
    base = 16;
  } else if (absl::ConsumePrefix(&text, "0o") ||
             (text.size() > 1 && absl::ConsumePrefix(&text, "0"))) {
    base = 8;
  }
  const std::string digits(text);
  if (digits.empty() ||
      !absl::ascii_isxdigit(static_cast<unsigned char>(digits.front()))) {
    return false;
  }
  char* end = nullptr;
  errno = 0;
  const long long value = strtoll(digits.c_str(), &end, base);
  if (errno != 0 || end != digits.c_str() + digits.size()) {
    return false;
  }
  number = negative ? -value : value;
  return true;
}

json::Value PlainValue(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" ||
      text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") {
    return true;
  }
  if (text == "false" || text == "False" || text == "FALSE") {
    return false;
  }
  int64_t number = 0;
  if (!ReadInteger(text, number)) {
    return text;
  }
  // As the JSON parser has them: what isn't negative is unsigned.
  return number < 0 ? json::Value(number)
                    : json::Value(static_cast<uint64_t>(number));
}

absl::StatusOr<json::Value> ReadScalar(const Events& events) {
  const auto& scalar = events.event().data.scalar;
  std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
  if (scalar.tag != nullptr) {
    const absl::string_view tag = reinterpret_cast<const char*>(scalar.tag);
    if (tag != YAML_STR_TAG && tag != "!") {
      return events.Bad(absl::StrCat("tag ", tag, " is not supported"));
    }
    return json::Value(std::move(text));
  }
  return scalar.style == YAML_PLAIN_SCALAR_STYLE ? PlainValue(text)
                                                 : json::Value(std::move(text));
}

absl::StatusOr<json::Value> ReadNode(Events& events, int depth);

absl::StatusOr<json::Value> ReadSequence(Events& events, int depth) {
  if (events.event().data.sequence_start.tag != nullptr) {
    return events.Bad("a tag of a list is not supported");
  }
  json::Value list = json::Value::array();
  for (;;) {
    RETURN_IF_ERROR(events.Next());
    if (events.type() == YAML_SEQUENCE_END_EVENT) {
      return list;
    }
    ASSIGN_OR_RETURN(json::Value item, ReadNode(events, depth + 1));
    list.push_back(std::move(item));
  }
}

absl::StatusOr<json::Value> ReadMapping(Events& events, int depth) {
  if (events.event().data.mapping_start.tag != nullptr) {
    return events.Bad("a tag of a mapping is not supported");
  }
  json::Value object = json::Value::object();
  for (;;) {
    RETURN_IF_ERROR(events.Next());
    if (events.type() == YAML_MAPPING_END_EVENT) {
      return object;
    }
    ASSIGN_OR_RETURN(const json::Value key, ReadNode(events, depth + 1));
    if (!key.is_string()) {
      return events.Bad("a key is not text");
    }
    const std::string& name = key.get_ref<const std::string&>();
    if (object.contains(name)) {
      return events.Bad(absl::StrCat("key ", name, " is there twice"));
    }
    RETURN_IF_ERROR(events.Next());
    ASSIGN_OR_RETURN(object[name], ReadNode(events, depth + 1));
  }
}

// The node that the current event begins.
absl::StatusOr<json::Value> ReadNode(Events& events, int depth) {
  if (depth > kMaxDepth) {
    return events.Bad("nested deeper than 32 levels");
  }
  switch (events.type()) {
    case YAML_SCALAR_EVENT:
      return ReadScalar(events);
    case YAML_SEQUENCE_START_EVENT:
      return ReadSequence(events, depth);
    case YAML_MAPPING_START_EVENT:
      return ReadMapping(events, depth);
    case YAML_ALIAS_EVENT:
      return events.Bad("an alias is not supported");
    default:
      return events.Bad("not a value");
  }
}

}  // namespace

absl::StatusOr<json::Value> ParseYaml(absl::string_view text,
                                      absl::string_view what) {
  Events events(text, what);
  RETURN_IF_ERROR(events.Next());  // the stream's start
  RETURN_IF_ERROR(events.Next());
  if (events.type() == YAML_STREAM_END_EVENT) {
    return events.Bad("empty");
  }
  RETURN_IF_ERROR(events.Next());
  ASSIGN_OR_RETURN(json::Value value, ReadNode(events, 0));
  RETURN_IF_ERROR(events.Next());  // the document's end
  RETURN_IF_ERROR(events.Next());
  if (events.type() != YAML_STREAM_END_EVENT) {
    return events.Bad("a second document");
  }
  return value;
}

}  // namespace caisson::device
