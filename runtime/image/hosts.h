#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caisson::image {

// A place that serves a registry's images.
struct RegistryHost {
  std::string url;       // "http://127.0.0.1:5000", without a path
  std::string api_path;  // "/v2", or what override_path says
  bool skip_verify = false;
  std::string ca_file;
  bool is_origin = false;  // the registry itself, not a mirror
};

// Where to look for images of `registry`, in order: the hosts of
// DIR/REGISTRY/hosts.toml, else of DIR/_default/hosts.toml, and last the
// server, which is the registry itself unless the file names another.  A
// registry on loopback is spoken to over plain HTTP.  InvalidArgument names
// file and key.
absl::StatusOr<std::vector<RegistryHost>> FindHosts(
    const std::string& hosts_dir, const std::string& registry);

// The hosts that the text of a hosts.toml (ASCII) names; `path` is for
// messages.
absl::StatusOr<std::vector<RegistryHost>> ParseHosts(
    absl::string_view text, const std::string& path,
    const std::string& registry);

}  // namespace caisson::image
