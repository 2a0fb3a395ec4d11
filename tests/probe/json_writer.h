#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace caisson::probe {

// Writes one JSON text.  Bytes that aren't UTF-8 become U+FFFD, so that what
// a container's environment or a file name holds can't break the report.
class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }

  JsonWriter& EndObject() { return Close('}'); }

  JsonWriter& BeginArray() { return Open('['); }

  JsonWriter& EndArray() { return Close(']'); }

  // The name of the value that comes next.
  JsonWriter& Key(std::string_view name);

  JsonWriter& String(std::string_view value);
  JsonWriter& Number(int64_t value);
  JsonWriter& Unsigned(uint64_t value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();

  const std::string& text() const { return text_; }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Separate();
  void Quote(std::string_view value);

  std::string text_;
  bool first_ = true;
};

// Writes all of `text` and a newline to standard output; false on an error.
bool Print(const std::string& text);

}  // namespace caisson::probe
