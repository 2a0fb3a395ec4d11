#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "shim/config/config.h"

// The keys of the configuration file, as one table from which files are read
// and the default file is printed, so that neither can lack a key.
namespace caisson::config {

struct Text {
  std::string& (*member)(Config&);
  absl::Status (*check)(absl::string_view);
};

// One string at least; each is checked.
struct TextList {
  std::vector<std::string>& (*member)(Config&);
  absl::Status (*check)(absl::string_view);
};

struct Switch {
  bool& (*member)(Config&);
};

struct Number32 {
  uint32_t& (*member)(Config&);
  uint32_t least;
  uint32_t most;
};

struct Number64 {
  uint64_t& (*member)(Config&);
  uint64_t least;
  uint64_t most;  // at most INT64_MAX: TOML's integers are signed
};

// Limits by name, each "SOFT:HARD" or one value for both.
struct RlimitTable {
  std::map<std::string, Rlimit>& (*member)(Config&);
};

struct Key {
  absl::string_view section;  // empty: top level
  absl::string_view name;
  absl::string_view comment;
  std::variant<Text, TextList, Switch, Number32, Number64, RlimitTable> value;
};

// All keys but those of the handlers, whose names the file chooses.  Sections
// are contiguous, the top level comes first, as TOML needs it.
absl::Span<const Key> Keys();

// One word of several, by its number in `words`: that of the enumerator.
struct Choice {
  absl::Span<const absl::string_view> words;
  size_t (*get)(const Handler&);
  void (*set)(Handler&, size_t);
};

struct HandlerSwitch {
  bool& (*member)(Handler&);
};

// Names of capabilities; absent: all.
struct CapabilityList {
  std::optional<uint64_t>& (*member)(Handler&);
};

struct HandlerKey {
  absl::string_view name;
  absl::string_view comment;  // lines without their "# "
  std::variant<Choice, HandlerSwitch, CapabilityList> value;
};

// Those of each handler.
absl::Span<const HandlerKey> HandlerKeys();

}  // namespace caisson::config
