#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The mounts that the calling process sees: /proc/self/mountinfo, proc(5).
namespace caisson::kernel {

struct MountEntry {
  uint64_t id = 0;
  uint64_t parent = 0;
  std::string mount_point;  // absolute, as from the process's root
  std::string type;         // of the filesystem, "ext4"
  bool id_mapped = false;
  bool unbindable = false;
  bool shared = false;
};

// Lines that are not of that form are left out.
std::vector<MountEntry> ParseMountTable(absl::string_view text);

absl::StatusOr<std::vector<MountEntry>> ReadMountTable();

// The id in that table of the mount that `fd` is on.
absl::StatusOr<uint64_t> MountIdOf(int fd);

// Of `table`, the mounts below `path`, which lies on the mount `id`, that a
// recursive bind takes along: parents first, among them what others hide.
std::vector<MountEntry> MountsBelow(const std::vector<MountEntry>& table,
                                    uint64_t id, absl::string_view path);

}  // namespace caisson::kernel
