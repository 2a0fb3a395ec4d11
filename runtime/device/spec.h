#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"
#include "runtime/device/hook.h"

// What a spec of the Container Device Interface (versions 0.3.0 to 1.1.0)
// says: how a container is changed to have a device.
namespace caisson::device {

struct DeviceNode {
  std::string path;       // in the container
  std::string host_path;  // the same unless the spec says else
  char type = 0;          // 'c', 'b', 'p' or 0: whatever the host's is
  std::optional<int64_t> major;
  std::optional<int64_t> minor;
  std::optional<uint32_t> file_mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::string permissions;  // some of "rwm"
};

struct Mount {
  enum class Propagation { kPrivate, kFromHost, kBoth };

  std::string host_path;
  std::string container_path;
  bool read_only = false;
  bool nosuid = false;
  bool nodev = false;
  bool noexec = false;
  bool recursive = false;
  Propagation propagation = Propagation::kPrivate;
};

struct Edits {
  std::vector<std::string> env;  // "NAME=value"
  std::vector<DeviceNode> nodes;
  std::vector<Mount> mounts;
  std::vector<Hook> hooks;
  std::vector<uint32_t> groups;
  // Only named, for they can't be had.
  std::vector<std::string> net_devices;  // of the host
  bool intel_rdt = false;

  bool empty() const;
  void Append(const Edits& other);
};

struct Device {
  std::string name;
  Edits edits;
};

struct Spec {
  std::string file;
  std::string kind;  // "vendor.com/class"
  std::vector<Device> devices;
  Edits edits;  // for each container with one of the devices
};

// Checks all of it: a field that the spec's version doesn't have, a path that
// isn't absolute and clean, a value out of range is InvalidArgument with
// `file` and the place.
absl::StatusOr<Spec> ParseSpec(const json::Value& value,
                               absl::string_view file);

// The text of a file whose name ends in .json or .yaml.
absl::StatusOr<Spec> ParseSpecText(absl::string_view text,
                                   absl::string_view file);

}  // namespace caisson::device
