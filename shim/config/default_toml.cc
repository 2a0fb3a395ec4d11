#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "shim/config/config.h"
#include "shim/config/keys.h"

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

  std::string operator()(const Number32& number) const {
    return absl::StrCat(number.member(config));
  }

  std::string operator()(const Number64& number) const {
    return absl::StrCat(number.member(config));
  }
};

std::string HandlersToml(const Config& config) {
  std::string text =
      "\n# A RuntimeClass names one of these.  user_namespace is \"always\": "
      "every pod gets\n# a range of ids of its own, but for those that are "
      "privileged or share the\n# host's network, pid or ipc namespace; or "
      "\"requested\": what hostUsers says.\n";
  for (const auto& [name, handler] : config.handlers) {
    absl::StrAppend(&text, "[handlers.", name, "]\nuser_namespace = ",
                    Quoted(PolicyName(handler.user_namespace)), "\n");
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
