#include "runtime/image/hosts.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

constexpr size_t kMaxFile = 1 << 20;

// By address or as "localhost": a name that begins so is another's.
bool IsLoopback(const std::string& registry) {
  if (absl::StartsWith(registry, "[")) {
    return registry == "[::1]" || absl::StartsWith(registry, "[::1]:");
  }
  const std::string host = registry.substr(0, registry.find(':'));
  in_addr address;
  return host == "localhost" ||
         (inet_pton(AF_INET, host.c_str(), &address) == 1 &&
          absl::StartsWith(host, "127."));
}

std::string OriginUrl(const std::string& registry) {
  if (registry == "docker.io") {
    return "https://registry-1.docker.io";
  }
  return absl::StrCat(IsLoopback(registry) ? "http://" : "https://", registry);
}

// Splits "http://host:5000/path" into the host's URL and the path.
absl::Status SetUrl(absl::string_view text, bool override_path,
                    RegistryHost& host) {
  const size_t scheme = text.find("://");
  const absl::string_view name = text.substr(0, scheme);
  if (scheme == absl::string_view::npos ||
      (name != "http" && name != "https")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "host ", absl::CHexEscape(text), ": not an http or https url"));
  }
  const size_t slash = text.find('/', scheme + 3);
  host.url = std::string(text.substr(0, slash));
  const bool has_other =
      std::any_of(text.begin(), text.end(), [](unsigned char c) {
        return !absl::ascii_isgraph(c) || c == '@' || c == '?' || c == '#';
      });
  if (host.url.size() == scheme + 3 || has_other) {
    return absl::InvalidArgumentError(absl::StrCat(
        "host ", absl::CHexEscape(text), ": not a host's name and a path"));
  }
  const absl::string_view path =
      slash == absl::string_view::npos ? "" : text.substr(slash);
  host.api_path = std::string(absl::StripSuffix(path, "/"));
  if (!override_path && !absl::EndsWith(host.api_path, "/v2")) {
    host.api_path += "/v2";
  }
  return absl::OkStatus();
}

// A key that is there has the type asked for.
template <typename Type>
absl::Status ReadKey(const toml::table& table, const char* key, Type& out) {
  const toml::node* node = table.get(key);
  if (node == nullptr) {
    return absl::OkStatus();
  }
  const std::optional<Type> value = node->value_exact<Type>();
  if (!value.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("key ", key, ": of the wrong type"));
  }
  out = *value;
  return absl::OkStatus();
}

absl::StatusOr<RegistryHost> ReadHost(const std::string& url,
                                      const toml::table& table) {
  RegistryHost host;
  bool override_path = false;
  RETURN_IF_ERROR(ReadKey(table, "override_path", override_path));
  RETURN_IF_ERROR(SetUrl(url, override_path, host));
  RETURN_IF_ERROR(ReadKey(table, "skip_verify", host.skip_verify));
  RETURN_IF_ERROR(ReadKey(table, "ca", host.ca_file));
  return host;
}

absl::StatusOr<std::vector<RegistryHost>> ReadFile(
    const std::string& path, const std::string& registry) {
  std::ifstream file(path);
  std::string text(kMaxFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad() || text.size() > kMaxFile) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": not a file of at most 1 MiB"));
  }
  return ParseHosts(text, path, registry);
}

// toml++ 3.3 has undefined behaviour (or a failed assertion) on a table header
// that begins with no key, "[{", and on some characters beyond ASCII where a
// key or value should be; names of hosts need none.
absl::Status CheckText(absl::string_view text, const std::string& path) {
  if (!std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isascii(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": has characters that are not ASCII"));
  }
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripLeadingAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, "[")) {
      continue;
    }
    absl::ConsumePrefix(&line, "[");
    line = absl::StripLeadingAsciiWhitespace(line);
    if (line.empty() ||
        (!absl::ascii_isalnum(static_cast<unsigned char>(line.front())) &&
         !absl::StrContains("_-\"']", line.substr(0, 1)))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "read ", path, ": [", absl::CHexEscape(line.substr(0, 64)),
          ": not a table's header"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<RegistryHost>> ParseHosts(
    absl::string_view text, const std::string& path,
    const std::string& registry) {
  RETURN_IF_ERROR(CheckText(text, path));
  const toml::parse_result parsed =
      toml::parse(std::string_view(text.data(), text.size()));
  if (!parsed) {
    std::ostringstream error;
    error << parsed.error();
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": ", error.str()));
  }
  const toml::table& table = parsed.table();
  std::vector<RegistryHost> hosts;
  if (const toml::table* list = table["host"].as_table(); list != nullptr) {
    // The table's order is that of its keys' lines, not of their names.
    std::vector<std::pair<toml::source_index, std::string>> order;
    for (const auto& [key, value] : *list) {
      order.emplace_back(value.source().begin.line, std::string(key.str()));
    }
    std::sort(order.begin(), order.end());
    for (const auto& [line, url] : order) {
      const toml::table* entry = list->at(url).as_table();
      if (entry == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("read ", path, ": host ", url, ": not a table"));
      }
      absl::StatusOr<RegistryHost> host = ReadHost(url, *entry);
      RETURN_IF_ERROR(
          Annotate(host.status(), absl::StrCat("read ", path, ": ", url)));
      hosts.push_back(*std::move(host));
    }
  } else if (table.contains("host")) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": key host: not a table"));
  }
  std::string url = OriginUrl(registry);
  RegistryHost server;
  absl::Status status = ReadKey(table, "server", url);
  if (status.ok()) {
    status = SetUrl(url, false, server);
  }
  RETURN_IF_ERROR(Annotate(status, absl::StrCat("read ", path)));
  server.is_origin = true;
  hosts.push_back(std::move(server));
  return hosts;
}

absl::StatusOr<std::vector<RegistryHost>> FindHosts(
    const std::string& hosts_dir, const std::string& registry) {
  for (const std::string& name : {registry, std::string("_default")}) {
    const std::string path = absl::StrCat(hosts_dir, "/", name, "/hosts.toml");
    if (access(path.c_str(), R_OK) == 0) {
      return ReadFile(path, registry);
    }
  }
  RegistryHost origin;
  RETURN_IF_ERROR(SetUrl(OriginUrl(registry), false, origin));
  origin.is_origin = true;
  return std::vector<RegistryHost>{origin};
}

}  // namespace caisson::image
