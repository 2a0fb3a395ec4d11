#include "shim/plan/resources.h"

#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"

namespace caisson::plan {
namespace {

using runtime::v1::LinuxContainerResources;

constexpr uint64_t kDefaultShares = 1024;
constexpr uint64_t kDefaultPeriod = 100000;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
// The kernel counts pages, of 64 KiB at most, and tells "no limit" as the
// largest number of them: the kubelet sends what it read.
constexpr int64_t kNoLimit = kMost / 65536 * 65536;

absl::Status CheckAtLeast(absl::string_view field, const char* name,
                          int64_t value, int64_t least) {
  if (value < least) {
    return Refuse(absl::StrCat(field, ".", name), absl::StrCat(value),
                  "is negative");
  }
  return absl::OkStatus();
}

// "0-3,8": what the kernel's list format is made of.
absl::Status CheckCpuset(absl::string_view field, const char* name,
                         const std::string& list) {
  if (list.find_first_not_of("0123456789-,") != std::string::npos) {
    return Refuse(absl::StrCat(field, ".", name), list,
                  "is not a list of numbers");
  }
  return absl::OkStatus();
}

// "2MB", "1GB": part of the names of the kernel's files.
absl::Status CheckPageSize(absl::string_view field, const std::string& size) {
  const size_t digits = size.find_first_not_of("0123456789");
  const std::string unit =
      digits == std::string::npos ? std::string() : size.substr(digits);
  if (digits == 0 || (unit != "KB" && unit != "MB" && unit != "GB")) {
    return Refuse(absl::StrCat(field, ".hugepage_limits.page_size"), size,
                  "is not a size like 2MB");
  }
  return absl::OkStatus();
}

absl::Status Check(const LinuxContainerResources& resources,
                   absl::string_view field) {
  RETURN_IF_ERROR(CheckAtLeast(field, "cpu_period", resources.cpu_period(), 0));
  RETURN_IF_ERROR(CheckAtLeast(field, "cpu_quota", resources.cpu_quota(), -1));
  RETURN_IF_ERROR(CheckAtLeast(field, "cpu_shares", resources.cpu_shares(), 0));
  RETURN_IF_ERROR(CheckAtLeast(field, "memory_limit_in_bytes",
                               resources.memory_limit_in_bytes(), -1));
  RETURN_IF_ERROR(CheckAtLeast(field, "memory_swap_limit_in_bytes",
                               resources.memory_swap_limit_in_bytes(), -1));
  if (resources.oom_score_adj() < -1000 || resources.oom_score_adj() > 1000) {
    return Refuse(absl::StrCat(field, ".oom_score_adj"),
                  absl::StrCat(resources.oom_score_adj()),
                  "is out of range -1000..1000");
  }
  RETURN_IF_ERROR(CheckCpuset(field, "cpuset_cpus", resources.cpuset_cpus()));
  return CheckCpuset(field, "cpuset_mems", resources.cpuset_mems());
}

// What a side leaves open is open, and a sum beyond the numbers is as well.
int64_t Add(int64_t a, int64_t b) {
  if (a <= 0 || b < 0) {
    return a <= 0 ? a : b;
  }
  return a > kMost - b ? kMost : a + b;
}

// Of bytes; 0: no word about them.
std::optional<int64_t> ReadBytes(int64_t bytes) {
  if (bytes == 0) {
    return std::nullopt;
  }
  return bytes < 0 || bytes >= kNoLimit ? -1 : bytes;
}

}  // namespace

absl::StatusOr<cgroup::Limits> PlanLimits(
    const LinuxContainerResources& resources, absl::string_view field) {
  RETURN_IF_ERROR(Check(resources, field));
  cgroup::Limits limits;
  if (resources.cpu_shares() > 0) {
    limits.cpu_shares = static_cast<uint64_t>(resources.cpu_shares());
  }
  if (resources.cpu_period() > 0) {
    limits.cpu_period = static_cast<uint64_t>(resources.cpu_period());
  }
  if (resources.cpu_quota() != 0) {
    limits.cpu_quota = resources.cpu_quota();
  }
  limits.memory_bytes = ReadBytes(resources.memory_limit_in_bytes());
  limits.swap_bytes = ReadBytes(resources.memory_swap_limit_in_bytes());
  // A limit of both that nobody named can't stand below one of memory.
  if (limits.memory_bytes == -1 && !limits.swap_bytes) {
    limits.swap_bytes = -1;
  }
  limits.cpuset_cpus = resources.cpuset_cpus();
  limits.cpuset_mems = resources.cpuset_mems();
  for (const runtime::v1::HugepageLimit& limit : resources.hugepage_limits()) {
    RETURN_IF_ERROR(CheckPageSize(field, limit.page_size()));
    limits.hugetlb[limit.page_size()] = limit.limit();
  }
  limits.unified.insert(resources.unified().begin(), resources.unified().end());
  return limits;
}

void Merge(const LinuxContainerResources& change,
           LinuxContainerResources& resources) {
  const int64_t score = resources.oom_score_adj();
  // Lists are replaced, not lengthened.
  if (change.hugepage_limits_size() > 0) {
    resources.clear_hugepage_limits();
  }
  // No limit of memory means none of memory and swap either, unless it is
  // named: an older one would stand below.
  if (change.memory_limit_in_bytes() < 0 &&
      change.memory_swap_limit_in_bytes() == 0) {
    resources.set_memory_swap_limit_in_bytes(-1);
  }
  resources.MergeFrom(change);
  resources.set_oom_score_adj(score);
}

LinuxContainerResources Sum(const LinuxContainerResources& a,
                            const LinuxContainerResources& b) {
  LinuxContainerResources sum = a;
  sum.set_cpu_shares(a.cpu_shares() == 0 ? b.cpu_shares()
                                         : Add(a.cpu_shares(), b.cpu_shares()));
  sum.set_cpu_quota(Add(a.cpu_quota(), b.cpu_quota()));
  sum.set_memory_limit_in_bytes(
      Add(a.memory_limit_in_bytes(), b.memory_limit_in_bytes()));
  sum.set_memory_swap_limit_in_bytes(
      Add(a.memory_swap_limit_in_bytes(), b.memory_swap_limit_in_bytes()));
  return sum;
}

cgroup::Limits Undo(const cgroup::Limits& change,
                    const cgroup::Limits& before) {
  cgroup::Limits undo = before;
  if (change.cpu_shares && !before.cpu_shares) {
    undo.cpu_shares = kDefaultShares;
  }
  if (change.cpu_quota && !before.cpu_quota) {
    undo.cpu_quota = -1;
  }
  if (change.cpu_period && !before.cpu_period) {
    undo.cpu_period = kDefaultPeriod;
  }
  if (change.memory_bytes && !before.memory_bytes) {
    undo.memory_bytes = -1;
  }
  if (change.swap_bytes && !before.swap_bytes) {
    undo.swap_bytes = -1;
  }
  return undo;
}

}  // namespace caisson::plan
