#include "shim/config/config.h"

#include <algorithm>
#include <utility>

// Debian's compiled toml++ throws; ours must not.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/identity/capabilities.h"
#include "shim/config/check.h"
#include "shim/config/keys.h"
#include "shim/config/rlimit.h"

namespace caisson::config {
namespace {

constexpr size_t kLargestFile = 1 << 20;

// A key's value with what an error message needs.
struct Entry {
  const std::string& file;
  std::string key;
  const toml::node& node;

  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ":", node.source().begin.line, ": ", key, " ", what));
  }
};

absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

absl::StatusOr<std::string> ReadText(const Entry& entry,
                                     absl::Status (*check)(absl::string_view)) {
  const toml::value<std::string>* text = entry.node.as_string();
  if (text == nullptr) {
    return entry.Error("must be a string");
  }
  const absl::Status status = check(text->get());
  return status.ok() ? absl::StatusOr<std::string>(text->get())
                     : entry.Error(status.message());
}

absl::StatusOr<uint64_t> ReadNumber(const Entry& entry, uint64_t least,
                                    uint64_t most) {
  const toml::value<int64_t>* number = entry.node.as_integer();
  if (number == nullptr) {
    return entry.Error("must be an integer");
  }
  const int64_t value = number->get();
  if (value < 0 || static_cast<uint64_t>(value) < least ||
      static_cast<uint64_t>(value) > most) {
    return entry.Error(absl::StrCat("must be between ", least, " and ", most));
  }
  return static_cast<uint64_t>(value);
}

// Reads an entry into the member of its kind.
struct Reader {
  const Entry& entry;
  Config& config;

  absl::Status operator()(const Text& text) const {
    ASSIGN_OR_RETURN(text.member(config), ReadText(entry, text.check));
    return absl::OkStatus();
  }

  absl::Status operator()(const TextList& list) const {
    const toml::array* items = entry.node.as_array();
    if (items == nullptr || items->empty()) {
      return entry.Error("must be an array of strings, not empty");
    }
    std::vector<std::string> texts;
    for (const toml::node& item : *items) {
      ASSIGN_OR_RETURN(std::string text,
                       ReadText({entry.file, entry.key, item}, list.check));
      texts.push_back(std::move(text));
    }
    list.member(config) = std::move(texts);
    return absl::OkStatus();
  }

  absl::Status operator()(const Switch& value) const {
    if (!entry.node.is_boolean()) {
      return entry.Error("must be true or false");
    }
    value.member(config) = entry.node.as_boolean()->get();
    return absl::OkStatus();
  }

  absl::Status operator()(const RlimitTable& table) const {
    const toml::table* limits = entry.node.as_table();
    if (limits == nullptr) {
      return entry.Error("must be a table");
    }
    for (const auto& [key, node] : *limits) {
      const std::string name(View(key.str()));
      const Entry one{entry.file, absl::StrCat(entry.key, ".", name), node};
      std::string text = node.value_or(std::string());
      if (const toml::value<int64_t>* number = node.as_integer()) {
        text = absl::StrCat(number->get());
      }
      const absl::StatusOr<Rlimit> limit = ParseRlimit(name, text);
      if (!limit.ok()) {
        return one.Error(limit.status().message());
      }
      table.member(config)[name] = *limit;
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const Number32& number) const {
    ASSIGN_OR_RETURN(const uint64_t value,
                     ReadNumber(entry, number.least, number.most));
    number.member(config) = static_cast<uint32_t>(value);
    return absl::OkStatus();
  }

  absl::Status operator()(const Number64& number) const {
    ASSIGN_OR_RETURN(number.member(config),
                     ReadNumber(entry, number.least, number.most));
    return absl::OkStatus();
  }
};

// Reads an entry into a handler's member of its kind.
struct HandlerReader {
  const Entry& entry;
  Handler& handler;

  absl::Status operator()(const Choice& choice) const {
    const std::string word = entry.node.value_or(std::string());
    const auto found =
        std::find(choice.words.begin(), choice.words.end(), word);
    if (found == choice.words.end()) {
      return entry.Error(absl::StrCat(
          "must be \"", absl::StrJoin(choice.words, "\" or \""), "\""));
    }
    choice.set(handler, static_cast<size_t>(found - choice.words.begin()));
    return absl::OkStatus();
  }

  absl::Status operator()(const HandlerSwitch& value) const {
    if (!entry.node.is_boolean()) {
      return entry.Error("must be true or false");
    }
    value.member(handler) = entry.node.as_boolean()->get();
    return absl::OkStatus();
  }

  absl::Status operator()(const CapabilityList& list) const {
    const toml::array* names = entry.node.as_array();
    if (names == nullptr) {
      return entry.Error("must be an array of capabilities' names");
    }
    uint64_t set = 0;
    for (const toml::node& name : *names) {
      const absl::StatusOr<int> capability =
          identity::CapabilityFromName(name.value_or(std::string()));
      if (!capability.ok()) {
        return entry.Error(absl::StrCat("must have names of capabilities: ",
                                        capability.status().message()));
      }
      set |= uint64_t{1} << *capability;
    }
    list.member(handler) = set;
    return absl::OkStatus();
  }
};

absl::Status ReadHandlerEntry(const Entry& entry, absl::string_view name,
                              Handler& handler) {
  for (const HandlerKey& key : HandlerKeys()) {
    if (key.name == name) {
      return std::visit(HandlerReader{entry, handler}, key.value);
    }
  }
  return entry.Error("is not a known key");
}

absl::Status ReadHandler(const Entry& entry, absl::string_view name,
                         Config& config) {
  if (const absl::Status status = CheckHandlerName(name); !status.ok()) {
    return entry.Error(absl::StrCat("has a name that ", status.message()));
  }
  const toml::table* members = entry.node.as_table();
  if (members == nullptr) {
    return entry.Error("must be a table");
  }
  Handler& handler = config.handlers[std::string(name)];
  for (const auto& [key, node] : *members) {
    const absl::string_view member = View(key.str());
    RETURN_IF_ERROR(ReadHandlerEntry(
        {entry.file, absl::StrCat(entry.key, ".", member), node}, member,
        handler));
  }
  return absl::OkStatus();
}

bool IsSection(absl::string_view name) {
  const absl::Span<const Key> keys = Keys();
  return std::any_of(keys.begin(), keys.end(), [name](const Key& key) {
    return !name.empty() && key.section == name;
  });
}

absl::Status ReadEntry(const Entry& entry, absl::string_view section,
                       absl::string_view name, Config& config) {
  if (section == "handlers") {
    return ReadHandler(entry, name, config);
  }
  for (const Key& key : Keys()) {
    if (key.section == section && key.name == name) {
      return std::visit(Reader{entry, config}, key.value);
    }
  }
  return entry.Error("is not a known key");
}

absl::Status ReadSection(const Entry& section, Config& config) {
  const toml::table* entries = section.node.as_table();
  if (entries == nullptr) {
    return section.Error("must be a table");
  }
  for (const auto& [key, node] : *entries) {
    const absl::string_view name = View(key.str());
    const Entry entry{section.file, absl::StrCat(section.key, ".", name), node};
    RETURN_IF_ERROR(ReadEntry(entry, section.key, name, config));
  }
  return absl::OkStatus();
}

// What no key shows alone.
absl::Status CheckTogether(const std::string& file, const Config& config) {
  const auto error = [&file](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
  };
  if (config.handlers.count(config.default_handler) == 0) {
    return error(absl::StrCat("default_handler: there is no handler ",
                              config.default_handler));
  }
  if (config.limits.nofile_soft > config.limits.nofile_hard) {
    return error("limits.nofile_soft must not exceed limits.nofile_hard");
  }
  constexpr uint64_t kIdsPerSlot = 65536;
  constexpr uint64_t kNoId = 4294967295;
  if (config.identity.first + config.identity.slots * kIdsPerSlot > kNoId) {
    return error("identity.slots: the pool would exceed the largest id");
  }
  if (config.cgroup.parent == config.cgroup.keepers) {
    return error("cgroup.keepers must differ from cgroup.parent");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadRegularFile(path, kLargestFile));
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return absl::InvalidArgumentError(absl::StrCat(
        path, ":", error.source().begin.line, ": ", View(error.description())));
  }
  Config config;
  for (const auto& [key, node] : parsed.table()) {
    const absl::string_view name = View(key.str());
    const Entry entry{path, std::string(name), node};
    if (name == "handlers" || IsSection(name)) {
      RETURN_IF_ERROR(ReadSection(entry, config));
    } else {
      RETURN_IF_ERROR(ReadEntry(entry, "", name, config));
    }
  }
  RETURN_IF_ERROR(CheckTogether(path, config));
  return config;
}

}  // namespace caisson::config
