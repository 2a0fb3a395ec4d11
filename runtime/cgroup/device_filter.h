#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/cgroup.h"

// Which devices the processes of a cgroup may open and make: a BPF program on
// its v2 directory, which the kernel asks on v1 machines as well
// (BPF_PROG_TYPE_CGROUP_DEVICE; bpf(2), cgroups(7)).
namespace caisson::cgroup {

struct DeviceRule {
  bool block = false;  // else a character device
  // Absent: any.
  std::optional<uint32_t> major;
  std::optional<uint32_t> minor;
  bool read = false;
  bool write = false;
  bool make = false;  // mknod(2)

  bool operator==(const DeviceRule&) const = default;
};

// What every container may do: open the devices it is given and terminals of
// its own, and make any node, which then can't be opened.
const std::vector<DeviceRule>& StandardDeviceRules();

// A program that allows what one of the rules does, and nothing else.
// Unimplemented when the kernel has no such programs.
absl::StatusOr<UniqueFd> LoadDeviceFilter(const std::vector<DeviceRule>& rules);

// Binds it to the cgroup, beside those of the cgroups above: all must allow.
// It stays after the fd is closed, and ends with the cgroup.
absl::Status AttachDeviceFilter(const Cgroup& cgroup, int program);

}  // namespace caisson::cgroup
