#include "runtime/network/result_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::network {
namespace {

// A configuration and an answer of a plugin, both capped at 1 MiB, escaped.
constexpr size_t kMaxCache = 8 << 20;

std::string CachePath(const std::string& directory, const std::string& pod_id) {
  return absl::StrCat(directory, "/", pod_id, ".json");
}

absl::Status MakeDirectory(const std::string& directory) {
  if (access(directory.c_str(), W_OK) == 0) {
    return absl::OkStatus();
  }
  std::string part;
  for (absl::string_view name :
       absl::StrSplit(directory, '/', absl::SkipEmpty())) {
    absl::StrAppend(&part, "/", name);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError("create", part);
    }
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, const std::string& text,
                      const std::string& path) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0) {
      return ErrnoError("write", path);
    }
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteCache(const std::string& directory, const std::string& pod_id,
                        const CachedAdd& add) {
  RETURN_IF_ERROR(MakeDirectory(directory));
  const std::string path = CachePath(directory, pod_id);
  const std::string fresh = path + ".new";
  UniqueFd fd(open(fresh.c_str(),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                   0600));
  if (!fd.ok()) {
    return ErrnoError("create", fresh);
  }
  json::Value value = json::Value::object();
  value["configuration"] = ToJson(add.configuration);
  value["file"] = add.configuration.file;
  value["result"] = add.result;
  RETURN_IF_ERROR(WriteAll(fd.get(), json::Dump(value), fresh));
  // Renamed whole, but not synced: after a power cut the network is gone too.
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return ErrnoError("rename", fresh);
  }
  return absl::OkStatus();
}

absl::StatusOr<CachedAdd> ReadCache(const std::string& directory,
                                    const std::string& pod_id) {
  const std::string path = CachePath(directory, pod_id);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0) {
      return ErrnoError("read", path);
    }
    if (n == 0) {
      break;
    }
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxCache) {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", path, ": too large"));
    }
  }
  ASSIGN_OR_RETURN(json::Value value, json::Parse(text, path));
  const json::Value* configuration = json::Find(value, "configuration");
  if (configuration == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": holds no configuration"));
  }
  CachedAdd add;
  ASSIGN_OR_RETURN(const std::string file, json::GetString(value, "file"));
  ASSIGN_OR_RETURN(add.configuration, ParseConfiguration(*configuration, file));
  if (const json::Value* result = json::Find(value, "result")) {
    add.result = *result;
  }
  return add;
}

absl::Status RemoveCache(const std::string& directory,
                         const std::string& pod_id) {
  const std::string path = CachePath(directory, pod_id);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  return absl::OkStatus();
}

}  // namespace caisson::network
