#include "runtime/network/result_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/clock.h"
#include "runtime/base/directory.h"
#include "runtime/base/log.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/network/invocation.h"

namespace caisson::network {
namespace {

// A configuration and an answer of a plugin, both capped at 1 MiB, escaped.
constexpr size_t kMaxCache = 8 << 20;
constexpr char kSuffix[] = ".json";

std::string CachePath(const std::string& directory, const std::string& pod_id) {
  return absl::StrCat(directory, "/", pod_id, kSuffix);
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

json::Value ToJson(const PortMapping& port) {
  json::Value value = json::Value::object();
  value["hostPort"] = port.host_port;
  value["containerPort"] = port.container_port;
  value["protocol"] = port.protocol;
  value["hostIP"] = port.host_ip;
  return value;
}

json::Value ToJson(const Attachment& attachment) {
  json::Value value = json::Value::object();
  value["podId"] = attachment.pod_id;
  value["netns"] = attachment.netns_path;
  value["interface"] = attachment.interface;
  value["name"] = attachment.pod_name;
  value["namespace"] = attachment.pod_namespace;
  value["uid"] = attachment.pod_uid;
  value["annotations"] = attachment.annotations;
  json::Value ports = json::Value::array();
  for (const PortMapping& port : attachment.ports) {
    ports.push_back(ToJson(port));
  }
  value["ports"] = std::move(ports);
  return value;
}

absl::Status ReadPorts(const json::Value& value, Attachment& attachment) {
  const json::Value* ports = json::Find(value, "ports");
  if (ports == nullptr || !ports->is_array()) {
    return absl::OkStatus();
  }
  for (const json::Value& entry : *ports) {
    PortMapping& port = attachment.ports.emplace_back();
    ASSIGN_OR_RETURN(const int64_t host, json::GetInt(entry, "hostPort"));
    ASSIGN_OR_RETURN(const int64_t own, json::GetInt(entry, "containerPort"));
    port.host_port = static_cast<int32_t>(host);
    port.container_port = static_cast<int32_t>(own);
    ASSIGN_OR_RETURN(port.protocol, json::GetString(entry, "protocol"));
    ASSIGN_OR_RETURN(port.host_ip, json::GetString(entry, "hostIP"));
  }
  return absl::OkStatus();
}

absl::Status ReadAnnotations(const json::Value& value, Attachment& attachment) {
  const json::Value* annotations = json::Find(value, "annotations");
  if (annotations == nullptr || !annotations->is_object()) {
    return absl::OkStatus();
  }
  for (const auto& [key, unused] : annotations->items()) {
    ASSIGN_OR_RETURN(attachment.annotations[key],
                     json::GetString(*annotations, key));
  }
  return absl::OkStatus();
}

absl::StatusOr<Attachment> ReadAttachment(const json::Value& value) {
  Attachment attachment;
  ASSIGN_OR_RETURN(attachment.pod_id, json::GetString(value, "podId"));
  ASSIGN_OR_RETURN(attachment.netns_path, json::GetString(value, "netns"));
  ASSIGN_OR_RETURN(attachment.interface, json::GetString(value, "interface"));
  ASSIGN_OR_RETURN(attachment.pod_name, json::GetString(value, "name"));
  ASSIGN_OR_RETURN(attachment.pod_namespace,
                   json::GetString(value, "namespace"));
  ASSIGN_OR_RETURN(attachment.pod_uid, json::GetString(value, "uid"));
  RETURN_IF_ERROR(ReadPorts(value, attachment));
  RETURN_IF_ERROR(ReadAnnotations(value, attachment));
  RETURN_IF_ERROR(CheckAttachment(attachment));
  return attachment;
}

// Not ".json": it is no entry any more.
absl::Status SetAside(const std::string& path, const absl::Status& why) {
  const std::string aside = absl::StrCat(path, ".damaged-", NowNanos());
  if (rename(path.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("set aside", path);
  }
  LogError(absl::StrCat("network cache: ", why.message(), "; set aside as ",
                        aside, ", the configuration of now goes for DEL"));
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteCache(const std::string& directory, const CachedAdd& add) {
  RETURN_IF_ERROR(MakeDirectory(directory));
  const std::string path = CachePath(directory, add.attachment.pod_id);
  const std::string fresh = path + ".new";
  UniqueFd fd(open(fresh.c_str(),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                   0600));
  if (!fd.ok()) {
    return ErrnoError("create", fresh);
  }
  json::Value value = json::Value::object();
  value["attachment"] = ToJson(add.attachment);
  if (!add.configuration.plugins.empty()) {
    value["configuration"] = ToJson(add.configuration);
    value["file"] = add.configuration.file;
  }
  value["result"] = add.result;
  RETURN_IF_ERROR(WriteAll(fd.get(), json::Dump(value), fresh));
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return ErrnoError("rename", fresh);
  }
  return absl::OkStatus();
}

absl::StatusOr<CachedAdd> ReadCache(const std::string& directory,
                                    const std::string& pod_id) {
  const std::string path = CachePath(directory, pod_id);
  ASSIGN_OR_RETURN(const std::string text, ReadRegularFile(path, kMaxCache));
  ASSIGN_OR_RETURN(json::Value value, json::Parse(text, path));
  const json::Value* attachment = json::Find(value, "attachment");
  if (attachment == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": holds no attachment"));
  }
  CachedAdd add;
  absl::StatusOr<Attachment> read = ReadAttachment(*attachment);
  RETURN_IF_ERROR(Annotate(read.status(), absl::StrCat("read ", path)));
  add.attachment = *std::move(read);
  if (add.attachment.pod_id != pod_id) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": is another pod's"));
  }
  if (const json::Value* found = json::Find(value, "configuration")) {
    ASSIGN_OR_RETURN(const std::string file, json::GetString(value, "file"));
    ASSIGN_OR_RETURN(add.configuration, ParseConfiguration(*found, file));
  }
  if (const json::Value* result = json::Find(value, "result")) {
    add.result = *result;
  }
  return add;
}

absl::StatusOr<CachedAdd> ReadOrMendCache(const std::string& directory,
                                          const Attachment& attachment) {
  absl::StatusOr<CachedAdd> cached = ReadCache(directory, attachment.pod_id);
  if (cached.ok() || absl::IsNotFound(cached.status())) {
    return cached;
  }
  RETURN_IF_ERROR(
      SetAside(CachePath(directory, attachment.pod_id), cached.status()));
  CachedAdd rest;
  rest.attachment = attachment;
  RETURN_IF_ERROR(WriteCache(directory, rest));
  return rest;
}

absl::Status RemoveCache(const std::string& directory,
                         const std::string& pod_id) {
  const std::string path = CachePath(directory, pod_id);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListCache(
    const std::string& directory) {
  std::vector<std::string> ids;
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory);
  if (absl::IsNotFound(entries.status())) {
    return ids;
  }
  RETURN_IF_ERROR(entries.status());
  for (const DirectoryEntry& entry : *entries) {
    absl::string_view id = entry.name;
    Attachment attachment;
    if (absl::ConsumeSuffix(&id, kSuffix)) {
      attachment.pod_id = std::string(id);
      if (CheckAttachment(attachment).ok()) {
        ids.push_back(attachment.pod_id);
      }
    }
  }
  return ids;
}

}  // namespace caisson::network
