#include "runtime/identity/id_pool.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"

namespace caisson::identity {
namespace {

// subuid(5) of a large site has thousands of lines of some 30 bytes.
constexpr size_t kMaxFile = 1 << 20;

struct Range {
  uint64_t first = 0;
  uint64_t count = 0;

  friend bool operator==(const Range&, const Range&) = default;
};

// Empty when there is no such file.
absl::StatusOr<std::string> ReadIfThere(const std::string& path) {
  absl::StatusOr<std::string> text = ReadRegularFile(path, kMaxFile);
  return absl::IsNotFound(text.status()) ? std::string() : text;
}

absl::StatusOr<std::optional<Range>> FindRange(const std::string& path,
                                               absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, ReadIfThere(path));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
    if (fields[0] != name) {
      continue;
    }
    Range range;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[1], &range.first) ||
        !absl::SimpleAtoi(fields[2], &range.count)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "read ", path, ": entry of ", name, " is not name:start:count"));
    }
    return range;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<IdPool> ReadPool(const std::string& subuid_path,
                                const std::string& subgid_path,
                                absl::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<Range> uids,
                   FindRange(subuid_path, name));
  ASSIGN_OR_RETURN(const std::optional<Range> gids,
                   FindRange(subgid_path, name));
  if (!uids.has_value() && !gids.has_value()) {
    return absl::NotFoundError(absl::StrCat("find ", name, ": neither in ",
                                            subuid_path, " nor ", subgid_path));
  }
  if (uids != gids) {
    return absl::InvalidArgumentError(
        absl::StrCat("read pool of ", name, ": the ranges in ", subuid_path,
                     " and ", subgid_path, " differ"));
  }
  const uint64_t first = uids->first;
  // An id of the range must not be one that the host itself hands out.
  if (first < kSlotLength || first >= kHostIdLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("read pool of ", name, ": start ", first, " is not in ",
                     kSlotLength, "..", kHostIdLimit - 1));
  }
  const uint64_t count = std::min<uint64_t>(uids->count, kHostIdLimit - first);
  if (count < kSlotLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("read pool of ", name, ": ", count,
                     " ids are less than one pod's ", kSlotLength));
  }
  IdPool pool;
  pool.first = static_cast<uint32_t>(first);
  pool.slots = static_cast<uint32_t>(count / kSlotLength);
  return pool;
}

absl::StatusOr<uint32_t> FindFreeSlot(const IdPool& pool,
                                      const std::vector<IdExtent>& used) {
  std::vector<bool> taken(pool.slots);
  const uint64_t end = pool.first + uint64_t{pool.slots} * kSlotLength;
  for (const IdExtent& extent : used) {
    const uint64_t from = std::max<uint64_t>(extent.host_id, pool.first);
    const uint64_t to =
        std::min<uint64_t>(uint64_t{extent.host_id} + extent.length, end);
    for (uint64_t id = from; id < to;
         id =
             pool.first + ((id - pool.first) / kSlotLength + 1) * kSlotLength) {
      taken[(id - pool.first) / kSlotLength] = true;
    }
  }
  const auto free = std::find(taken.begin(), taken.end(), false);
  if (free == taken.end()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "find free id range: all ", pool.slots, " slots are taken"));
  }
  return static_cast<uint32_t>(free - taken.begin());
}

}  // namespace caisson::identity
