#include "runtime/kernel/mount_table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"

namespace caisson::kernel {
namespace {

constexpr char kTable[] = "/proc/self/mountinfo";
// The kernel has at most 100000 mounts a namespace (fs.mount-max), by default.
constexpr size_t kMostTable = 256 << 20;

// The kernel writes blanks and backslashes as \\ and three octal digits.
std::string Unescape(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      plain += text[i];
      continue;
    }
    int value = 0;
    for (size_t digit = 1; digit <= 3; ++digit) {
      value = value * 8 + (text[i + digit] - '0');
    }
    plain += static_cast<char>(value);
    i += 3;
  }
  return plain;
}

// id parent major:minor root point options [tags] - type source options
bool ParseLine(absl::string_view line, MountEntry& entry) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 2 ||
      !absl::SimpleAtoi(fields[0], &entry.id) ||
      !absl::SimpleAtoi(fields[1], &entry.parent)) {
    return false;
  }
  entry.mount_point = Unescape(fields[4]);
  const std::vector<absl::string_view> options = absl::StrSplit(fields[5], ',');
  entry.id_mapped =
      std::find(options.begin(), options.end(), "idmapped") != options.end();
  entry.unbindable = std::find(fields.begin() + 6, dash, "unbindable") != dash;
  entry.shared = std::any_of(
      fields.begin() + 6, dash,
      [](absl::string_view tag) { return absl::StartsWith(tag, "shared:"); });
  entry.type = Unescape(dash[1]);
  return true;
}

}  // namespace

std::vector<MountEntry> ParseMountTable(absl::string_view text) {
  std::vector<MountEntry> table;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    MountEntry entry;
    if (ParseLine(line, entry)) {
      table.push_back(std::move(entry));
    }
  }
  return table;
}

absl::StatusOr<std::vector<MountEntry>> ReadMountTable() {
  ASSIGN_OR_RETURN(const std::string text, ReadRegularFile(kTable, kMostTable));
  return ParseMountTable(text);
}

absl::StatusOr<uint64_t> MountIdOf(int fd) {
  struct statx facts = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) != 0) {
    return ErrnoError("stat", "mount");
  }
  return facts.stx_mnt_id;
}

std::vector<MountEntry> MountsBelow(const std::vector<MountEntry>& table,
                                    uint64_t id, absl::string_view path) {
  const std::string prefix = absl::StrCat(absl::StripSuffix(path, "/"), "/");
  std::vector<MountEntry> found;
  std::set<uint64_t> parents = {id};
  // One generation after the other: the table's order promises nothing.
  while (!parents.empty()) {
    std::set<uint64_t> generation;
    for (const MountEntry& entry : table) {
      if (parents.contains(entry.parent) && entry.id != entry.parent &&
          !entry.unbindable && absl::StartsWith(entry.mount_point, prefix)) {
        generation.insert(entry.id);
        found.push_back(entry);
      }
    }
    parents = std::move(generation);
  }
  return found;
}

}  // namespace caisson::kernel
