#include "shim/ops/host_devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

using keeper::v1::Device;
using Devices = google::protobuf::RepeatedPtrField<Device>;

constexpr int kMostDevices = 4096;
constexpr int kDeepest = 16;

// What runc leaves out as well: other containers' and terminals.
constexpr const char* kSkippedDirectories[] = {
    "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"};
constexpr char kSkippedFile[] = "console";

bool IsDevice(const struct stat& facts) {
  return S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode);
}

absl::Status Refuse(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("config.devices.host_path: ", path, " ", why));
}

void Describe(const struct stat& facts, Device& device) {
  const mode_t mode = device.mode() != 0
                          ? (facts.st_mode & S_IFMT) | device.mode()
                          : facts.st_mode;
  device.set_own_node(device.uid() != 0 || device.gid() != 0 ||
                      mode != facts.st_mode);
  device.set_mode(mode);
  device.set_number(facts.st_rdev);
  device.set_host_uid(facts.st_uid);
  device.set_host_gid(facts.st_gid);
}

absl::Status Add(Device device, const struct stat& facts, Devices& devices) {
  if (devices.size() >= kMostDevices) {
    return Refuse(device.host_path(), "is one device too many");
  }
  Describe(facts, device);
  *devices.Add() = std::move(device);
  return absl::OkStatus();
}

bool IsSkipped(const std::string& name) {
  return std::any_of(std::begin(kSkippedDirectories),
                     std::end(kSkippedDirectories),
                     [&](const char* one) { return name == one; });
}

// The host's directories change: what has gone meanwhile is left out.
absl::Status AddBelow(const Device& directory, int depth, Devices& devices) {
  absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory.host_path());
  if (absl::IsNotFound(entries.status()) && depth > 0) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(entries.status());
  if (depth > kDeepest) {
    return Refuse(directory.host_path(), "lies too deep");
  }
  // In an order that does not depend on the filesystem.
  std::sort(entries->begin(), entries->end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) {
              return a.name < b.name;
            });
  for (const DirectoryEntry& entry : *entries) {
    Device device = directory;
    absl::StrAppend(device.mutable_host_path(), "/", entry.name);
    absl::StrAppend(device.mutable_container_path(), "/", entry.name);
    struct stat facts = {};
    if (lstat(device.host_path().c_str(), &facts) != 0) {
      continue;
    }
    if (S_ISDIR(facts.st_mode) && !IsSkipped(entry.name)) {
      RETURN_IF_ERROR(AddBelow(device, depth + 1, devices));
    } else if (IsDevice(facts) && entry.name != kSkippedFile) {
      RETURN_IF_ERROR(Add(std::move(device), facts, devices));
    }
  }
  return absl::OkStatus();
}

absl::Status AddAll(const Device& device, Devices& devices) {
  struct stat facts = {};
  // The host's path, named by the kubelet.
  if (stat(device.host_path().c_str(), &facts) != 0) {
    return ErrnoError("find device", device.host_path());
  }
  if (S_ISDIR(facts.st_mode)) {
    return AddBelow(device, 0, devices);
  }
  return IsDevice(facts) ? Add(device, facts, devices)
                         : Refuse(device.host_path(), "is no device");
}

cgroup::DeviceRule RuleOf(const Device& device) {
  cgroup::DeviceRule rule;
  rule.block = S_ISBLK(device.mode());
  rule.major = major(device.number());
  rule.minor = minor(device.number());
  rule.read = absl::StrContains(device.permissions(), 'r');
  rule.write = absl::StrContains(device.permissions(), 'w');
  rule.make = absl::StrContains(device.permissions(), 'm');
  return rule;
}

}  // namespace

absl::StatusOr<std::vector<cgroup::DeviceRule>> ResolveDevices(
    keeper::v1::ContainerPlan& plan) {
  Devices devices;
  for (const Device& device : plan.devices()) {
    RETURN_IF_ERROR(AddAll(device, devices));
  }
  plan.mutable_devices()->Swap(&devices);
  std::vector<cgroup::DeviceRule> rules;
  for (const Device& device : plan.devices()) {
    rules.push_back(RuleOf(device));
  }
  return rules;
}

}  // namespace caisson::ops
