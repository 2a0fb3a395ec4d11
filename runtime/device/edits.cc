#include "runtime/device/edits.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::device {
namespace {

// Of each kind, in one set of edits.
constexpr size_t kMost = 1024;
constexpr int64_t kLargestId = 4294967294;
// 12 and 20 bits of the kernel's device numbers.
constexpr int64_t kLargestMajor = 4095;
constexpr int64_t kLargestMinor = 1048575;
constexpr int64_t kLongestTimeout = 3600;

absl::StatusOr<std::optional<uint32_t>> ReadId(const SpecReader& reader,
                                               absl::string_view key) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> id,
                   reader.Number(key, 0, kLargestId));
  return id.has_value() ? std::optional<uint32_t>(static_cast<uint32_t>(*id))
                        : std::nullopt;
}

absl::StatusOr<char> ReadType(const SpecReader& reader) {
  ASSIGN_OR_RETURN(const std::string type, reader.Text("type"));
  if (type.empty()) {
    return '\0';
  }
  switch (type.size() == 1 ? type[0] : '?') {
    case 'c':
    case 'u':
      return 'c';
    case 'b':
      return 'b';
    case 'p':
      return 'p';
    default:
      return reader.Bad("type", "is none of b, c, u and p");
  }
}

absl::StatusOr<std::string> ReadPermissions(const SpecReader& reader) {
  ASSIGN_OR_RETURN(const std::string text, reader.Text("permissions"));
  if (text.empty()) {
    return std::string("rwm");
  }
  if (text == "none") {
    return std::string();
  }
  if (text.find_first_not_of("rwm") != std::string::npos) {
    return reader.Bad("permissions", "has other letters than r, w and m");
  }
  return text;
}

absl::StatusOr<DeviceNode> ReadNode(const SpecReader& reader) {
  RETURN_IF_ERROR(reader.CheckFields({{"path"},
                                      {"hostPath", k050},
                                      {"type"},
                                      {"major"},
                                      {"minor"},
                                      {"fileMode"},
                                      {"permissions"},
                                      {"uid"},
                                      {"gid"}}));
  DeviceNode node;
  ASSIGN_OR_RETURN(node.path, reader.Path("path"));
  node.host_path = node.path;
  if (reader.Find("hostPath") != nullptr) {
    ASSIGN_OR_RETURN(node.host_path, reader.Path("hostPath"));
  }
  ASSIGN_OR_RETURN(node.type, ReadType(reader));
  ASSIGN_OR_RETURN(node.major, reader.Number("major", 0, kLargestMajor));
  ASSIGN_OR_RETURN(node.minor, reader.Number("minor", 0, kLargestMinor));
  ASSIGN_OR_RETURN(const std::optional<int64_t> mode,
                   reader.Number("fileMode", 0, 07777));
  if (mode.has_value()) {
    node.file_mode = static_cast<uint32_t>(*mode);
  }
  ASSIGN_OR_RETURN(node.uid, ReadId(reader, "uid"));
  ASSIGN_OR_RETURN(node.gid, ReadId(reader, "gid"));
  ASSIGN_OR_RETURN(node.permissions, ReadPermissions(reader));
  return node;
}

bool SetOption(absl::string_view option, Mount& mount) {
  if (option == "ro") {
    mount.read_only = true;
  } else if (option == "rw") {
    mount.read_only = false;
  } else if (option == "nosuid") {
    mount.nosuid = true;
  } else if (option == "nodev") {
    mount.nodev = true;
  } else if (option == "noexec") {
    mount.noexec = true;
  } else if (option == "rbind") {
    mount.recursive = true;
  } else if (option == "private" || option == "rprivate") {
    mount.propagation = Mount::Propagation::kPrivate;
  } else if (option == "slave" || option == "rslave") {
    mount.propagation = Mount::Propagation::kFromHost;
  } else if (option == "shared" || option == "rshared") {
    mount.propagation = Mount::Propagation::kBoth;
  } else {
    return option == "bind";
  }
  return true;
}

absl::StatusOr<Mount> ReadMount(const SpecReader& reader) {
  RETURN_IF_ERROR(reader.CheckFields(
      {{"hostPath"}, {"containerPath"}, {"options"}, {"type", k040}}));
  Mount mount;
  ASSIGN_OR_RETURN(mount.host_path, reader.Path("hostPath"));
  ASSIGN_OR_RETURN(mount.container_path, reader.Path("containerPath"));
  ASSIGN_OR_RETURN(const std::string type, reader.Text("type"));
  if (!type.empty() && type != "bind" && type != "none") {
    return reader.Bad("type", absl::StrCat("\"", type, "\" is not a bind"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> options,
                   reader.Texts("options"));
  for (const std::string& option : options) {
    if (!SetOption(option, mount)) {
      return reader.Bad("options",
                        absl::StrCat("\"", option, "\" is not supported"));
    }
  }
  return mount;
}

absl::StatusOr<Hook> ReadHook(const SpecReader& reader) {
  RETURN_IF_ERROR(reader.CheckFields(
      {{"hookName"}, {"path"}, {"args"}, {"env"}, {"timeout"}}));
  Hook hook;
  ASSIGN_OR_RETURN(const std::string name, reader.Text("hookName"));
  const std::optional<Moment> moment = FindMoment(name);
  if (!moment.has_value()) {
    return reader.Bad("hookName", "is no moment of a container's life");
  }
  hook.moment = *moment;
  ASSIGN_OR_RETURN(hook.path, reader.Path("path"));
  ASSIGN_OR_RETURN(hook.arguments, reader.Texts("args"));
  ASSIGN_OR_RETURN(hook.environment, reader.Texts("env"));
  RETURN_IF_ERROR(CheckVariables(reader, "env", hook.environment));
  ASSIGN_OR_RETURN(const std::optional<int64_t> timeout,
                   reader.Number("timeout", 1, kLongestTimeout));
  hook.timeout_seconds = static_cast<uint32_t>(timeout.value_or(0));
  return hook;
}

absl::Status ReadGroups(const SpecReader& reader, Edits& edits) {
  const json::Value* list = reader.Find("additionalGids");
  if (list == nullptr) {
    return absl::OkStatus();
  }
  if (!list->is_array() || list->size() > kMost) {
    return reader.Bad("additionalGids", "is not a list of groups");
  }
  for (const json::Value& item : *list) {
    if (!item.is_number_unsigned() ||
        item.get<uint64_t>() > uint64_t{kLargestId}) {
      return reader.Bad("additionalGids", "holds what is not a group's id");
    }
    // The specification: 0 counts for nothing.
    if (const auto id = item.get<uint32_t>(); id != 0) {
      edits.groups.push_back(id);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadNetDevices(const SpecReader& reader, Edits& edits) {
  ASSIGN_OR_RETURN(const std::vector<SpecReader> list,
                   reader.List("netDevices", kMost));
  for (const SpecReader& item : list) {
    RETURN_IF_ERROR(item.CheckFields({{"hostInterfaceName"}, {"name"}}));
    ASSIGN_OR_RETURN(std::string host, item.Text("hostInterfaceName"));
    ASSIGN_OR_RETURN(const std::string name, item.Text("name"));
    if (host.empty() || name.empty()) {
      return item.Bad("", "lacks a name");
    }
    edits.net_devices.push_back(std::move(host));
  }
  return absl::OkStatus();
}

absl::Status ReadIntelRdt(const SpecReader& reader, Edits& edits) {
  const json::Value* value = reader.Find("intelRdt");
  if (value == nullptr) {
    return absl::OkStatus();
  }
  edits.intel_rdt = true;
  return reader.Inner(*value, "intelRdt")
      .CheckFields({{"closID"},
                    {"l3CacheSchema"},
                    {"memBwSchema"},
                    {"enableCMT"},
                    {"enableMBM"},
                    {"schemata", k110},
                    {"enableMonitoring", k110}});
}

// The list `key` of `reader`, each item read by `read`.
template <typename Item>
absl::Status ReadList(const SpecReader& reader, absl::string_view key,
                      absl::StatusOr<Item> (*read)(const SpecReader&),
                      std::vector<Item>& out) {
  ASSIGN_OR_RETURN(const std::vector<SpecReader> list, reader.List(key, kMost));
  for (const SpecReader& item : list) {
    ASSIGN_OR_RETURN(Item one, read(item));
    out.push_back(std::move(one));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Edits> ReadEdits(const SpecReader& parent) {
  Edits edits;
  const json::Value* value = parent.Find("containerEdits");
  if (value == nullptr) {
    return edits;
  }
  const SpecReader reader = parent.Inner(*value, "containerEdits");
  RETURN_IF_ERROR(reader.CheckFields({{"env"},
                                      {"deviceNodes"},
                                      {"mounts"},
                                      {"hooks"},
                                      {"additionalGids", k070},
                                      {"intelRdt", k070},
                                      {"netDevices", k110}}));
  ASSIGN_OR_RETURN(edits.env, reader.Texts("env"));
  RETURN_IF_ERROR(CheckVariables(reader, "env", edits.env));
  RETURN_IF_ERROR(ReadList(reader, "deviceNodes", ReadNode, edits.nodes));
  RETURN_IF_ERROR(ReadList(reader, "mounts", ReadMount, edits.mounts));
  RETURN_IF_ERROR(ReadList(reader, "hooks", ReadHook, edits.hooks));
  RETURN_IF_ERROR(ReadGroups(reader, edits));
  RETURN_IF_ERROR(ReadNetDevices(reader, edits));
  RETURN_IF_ERROR(ReadIntelRdt(reader, edits));
  return edits;
}

}  // namespace caisson::device
