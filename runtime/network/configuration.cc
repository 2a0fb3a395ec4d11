#include "runtime/network/configuration.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::network {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr size_t kMaxPlugins = 32;

// Ascending, so that the last one in a list is the best.
constexpr absl::string_view kVersions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0",
                                           "1.1.0"};

absl::Status Refuse(absl::string_view file, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("read network configuration ", file, ": ", cause));
}

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '_' || c == '.' || c == '-';
         });
}

// Of "cniVersions" (specification 1.1.0) the newest that is known here, else
// "cniVersion".
absl::StatusOr<std::string> ChooseVersion(const json::Value& value,
                                          absl::string_view file) {
  ASSIGN_OR_RETURN(std::vector<std::string> offered,
                   json::GetStrings(value, "cniVersions"));
  ASSIGN_OR_RETURN(const std::string single,
                   json::GetString(value, "cniVersion"));
  if (offered.empty()) {
    offered.push_back(single);
  }
  for (auto known = std::rbegin(kVersions); known != std::rend(kVersions);
       ++known) {
    if (std::find(offered.begin(), offered.end(), std::string(*known)) !=
        offered.end()) {
      return std::string(*known);
    }
  }
  return Refuse(file, absl::StrCat("cniVersion \"", absl::StrJoin(offered, ","),
                                   "\" is not in 0.3.0..1.1.0"));
}

absl::Status AddPlugin(const json::Value& plugin, Configuration& out) {
  if (!plugin.is_object()) {
    return Refuse(out.file, "a plugin is not an object");
  }
  ASSIGN_OR_RETURN(const std::string type, json::GetString(plugin, "type"));
  // A type names a program; a slash in it would choose the directory too.
  if (!IsName(type)) {
    return Refuse(out.file,
                  absl::StrCat("\"", type, "\" is not a plugin type"));
  }
  out.plugins.push_back(plugin);
  return absl::OkStatus();
}

bool IsConfigurationName(absl::string_view name) {
  return absl::EndsWith(name, ".conf") || absl::EndsWith(name, ".conflist") ||
         absl::EndsWith(name, ".json");
}

absl::StatusOr<std::vector<std::string>> ListFiles(
    const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                   ListDirectory(directory));
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries) {
    if (IsConfigurationName(entry.name)) {
      names.push_back(entry.name);
    }
  }
  if (names.empty()) {
    return absl::NotFoundError(
        absl::StrCat("find network configuration: none in ", directory));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  // O_NONBLOCK: a FIFO must not hang the daemon.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0) {
    return ErrnoError("open", path);
  }
  if (!S_ISREG(info.st_mode) || static_cast<size_t>(info.st_size) > kMaxFile) {
    return Refuse(path, "not a file of at most 1 MiB");
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  const ssize_t n = read(fd.get(), text.data(), text.size());
  if (n < 0) {
    return ErrnoError("read", path);
  }
  text.resize(static_cast<size_t>(n));
  return text;
}

}  // namespace

absl::StatusOr<Configuration> ParseConfiguration(const json::Value& value,
                                                 absl::string_view file) {
  Configuration out;
  out.file = std::string(file);
  ASSIGN_OR_RETURN(out.name, json::GetString(value, "name"));
  if (!IsName(out.name)) {
    return Refuse(file,
                  absl::StrCat("\"", out.name, "\" is not a network name"));
  }
  ASSIGN_OR_RETURN(out.version, ChooseVersion(value, file));
  const json::Value* plugins = json::Find(value, "plugins");
  if (plugins == nullptr) {
    RETURN_IF_ERROR(AddPlugin(value, out));
    return out;
  }
  if (!plugins->is_array() || plugins->empty() ||
      plugins->size() > kMaxPlugins) {
    return Refuse(file, "plugins is not a list of 1 to 32");
  }
  for (const json::Value& plugin : *plugins) {
    RETURN_IF_ERROR(AddPlugin(plugin, out));
  }
  return out;
}

json::Value ToJson(const Configuration& configuration) {
  json::Value value = json::Value::object();
  value["name"] = configuration.name;
  value["cniVersion"] = configuration.version;
  value["plugins"] = configuration.plugins;
  return value;
}

absl::StatusOr<std::string> ReadSignature(const std::string& directory) {
  ASSIGN_OR_RETURN(const auto names, ListFiles(directory));
  std::string signature;
  for (const std::string& name : names) {
    struct stat info = {};
    // An entry that vanished meanwhile changes the next signature.
    (void)stat(absl::StrCat(directory, "/", name).c_str(), &info);
    absl::StrAppend(&signature, name, "|", info.st_ino, "|", info.st_size, "|",
                    info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "\n");
  }
  return signature;
}

absl::StatusOr<Configuration> LoadConfiguration(const std::string& directory) {
  ASSIGN_OR_RETURN(const auto names, ListFiles(directory));
  const std::string path = absl::StrCat(directory, "/", names[0]);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(const json::Value value, json::Parse(text, path));
  return ParseConfiguration(value, path);
}

absl::StatusOr<std::string> FindPlugin(
    const std::vector<std::string>& directories, const std::string& type) {
  for (const std::string& directory : directories) {
    const std::string path = absl::StrCat(directory, "/", type);
    if (access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return absl::NotFoundError(absl::StrCat("find network plugin ", type,
                                          ": not in ",
                                          absl::StrJoin(directories, ":")));
}

}  // namespace caisson::network
