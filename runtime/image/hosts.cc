#include "runtime/image/hosts.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <utility>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"

namespace caisson::image {
namespace {

std::string OriginUrl(const std::string& registry) {
  if (registry == "docker.io") {
    return "https://registry-1.docker.io";
  }
  const bool loopback = absl::StartsWith(registry, "127.") ||
                        registry == "localhost" ||
                        absl::StartsWith(registry, "localhost:") ||
                        absl::StartsWith(registry, "[::1]");
  return absl::StrCat(loopback ? "http://" : "https://", registry);
}

// Splits "http://host:5000/path" into the host's URL and the path.
absl::Status SetUrl(absl::string_view text, bool override_path,
                    RegistryHost& host) {
  const size_t scheme = text.find("://");
  const absl::string_view name = text.substr(0, scheme);
  if (scheme == absl::string_view::npos ||
      (name != "http" && name != "https")) {
    return absl::InvalidArgumentError(
        absl::StrCat("host ", text, ": not an http or https url"));
  }
  const size_t slash = text.find('/', scheme + 3);
  host.url = std::string(text.substr(0, slash));
  const absl::string_view path =
      slash == absl::string_view::npos ? "" : text.substr(slash);
  host.api_path = std::string(absl::StripSuffix(path, "/"));
  if (!override_path && !absl::EndsWith(host.api_path, "/v2")) {
    host.api_path += "/v2";
  }
  return absl::OkStatus();
}

absl::StatusOr<RegistryHost> ReadHost(const std::string& url,
                                      const toml::table& table) {
  RegistryHost host;
  const bool override_path = table["override_path"].value_or(false);
  RETURN_IF_ERROR(SetUrl(url, override_path, host));
  host.skip_verify = table["skip_verify"].value_or(false);
  host.ca_file = table["ca"].value_or(std::string());
  return host;
}

absl::StatusOr<std::vector<RegistryHost>> ReadFile(
    const std::string& path, const std::string& registry) {
  const toml::parse_result parsed = toml::parse_file(path);
  if (!parsed) {
    std::ostringstream text;
    text << parsed.error();
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": ", text.str()));
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
      ASSIGN_OR_RETURN(RegistryHost host, ReadHost(url, *entry));
      hosts.push_back(std::move(host));
    }
  }
  RegistryHost server;
  RETURN_IF_ERROR(Annotate(
      SetUrl(table["server"].value_or(OriginUrl(registry)), false, server),
      path));
  server.is_origin = true;
  hosts.push_back(std::move(server));
  return hosts;
}

}  // namespace

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
