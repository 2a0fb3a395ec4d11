#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "runtime/identity/capabilities.h"
#include "shim/config/config.h"
#include "shim/config/keys.h"
#include "shim/config/rlimit.h"

namespace caisson::config {
namespace {

// No default holds a quote or a backslash; the round trip is tested.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", text, "\"");
}

struct Printer {
  Config& config;

  std::string operator()(const Text& text) const {
    return Quoted(text.member(config));
  }

  std::string operator()(const TextList& list) const {
    const auto quote = [](std::string* out, const std::string& item) {
      out->append(Quoted(item));
    };
    return absl::StrCat("[", absl::StrJoin(list.member(config), ", ", quote),
                        "]");
  }

  std::string operator()(const Switch& value) const {
    return value.member(config) ? "true" : "false";
  }

  std::string operator()(const RlimitTable& table) const {
    const auto line = [](std::string* out, const auto& item) {
      absl::StrAppend(out, item.first, " = ", Quoted(RlimitText(item.second)));
    };
    return absl::StrCat("{", absl::StrJoin(table.member(config), ", ", line),
                        "}");
  }

  std::string operator()(const Number32& number) const {
    return absl::StrCat(number.member(config));
  }

  std::string operator()(const Number64& number) const {
    return absl::StrCat(number.member(config));
  }
};

// A handler's value; empty: the key stays away.
struct HandlerPrinter {
  Handler& handler;

  std::string operator()(const Choice& choice) const {
    return Quoted(choice.words[choice.get(handler)]);
  }

  std::string operator()(const HandlerSwitch& value) const {
    return value.member(handler) ? "true" : "false";
  }

  std::string operator()(const CapabilityList& list) const {
    const std::optional<uint64_t>& set = list.member(handler);
    if (!set.has_value()) {
      return "";
    }
    const auto quote = [](std::string* out, const std::string& item) {
      out->append(Quoted(item));
    };
    return absl::StrCat(
        "[", absl::StrJoin(identity::CapabilityNames(*set), ", ", quote), "]");
  }
};

std::string HandlersToml(Config& config) {
  std::string text = "\n# A RuntimeClass names one of the handlers below.\n";
  for (const HandlerKey& key : HandlerKeys()) {
    absl::StrAppend(&text, "# ", key.name, ": ",
                    absl::StrReplaceAll(key.comment, {{"\n", "\n#   "}}), "\n");
  }
  for (auto& [name, handler] : config.handlers) {
    absl::StrAppend(&text, "\n[handlers.", name, "]\n");
    for (const HandlerKey& key : HandlerKeys()) {
      const std::string value = std::visit(HandlerPrinter{handler}, key.value);
      if (!value.empty()) {
        absl::StrAppend(&text, key.name, " = ", value, "\n");
      }
    }
  }
  return text;
}

}  // namespace

std::string DefaultToml() {
  Config config;
  std::string text =
      "# Configuration of caissond.  Every key is optional; these are the "
      "defaults.\n";
  absl::string_view section;
  for (const Key& key : Keys()) {
    if (key.section != section) {
      section = key.section;
      absl::StrAppend(&text, "\n[", section, "]");
    }
    absl::StrAppend(&text, "\n# ", key.comment, "\n", key.name, " = ",
                    std::visit(Printer{config}, key.value), "\n");
  }
  return absl::StrCat(text, HandlersToml(config));
}

}  // namespace caisson::config
