#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/hierarchy.h"

namespace caisson::cgroup {
namespace {

constexpr uint64_t kMinShares = 2;
constexpr uint64_t kMaxShares = 262144;
constexpr int64_t kDefaultPeriod = 100000;

std::string OrMax(int64_t value) {
  return value > 0 ? absl::StrCat(value) : "max";
}

// v1 says "no limit" with -1.
std::string OrMinusOne(int64_t value) {
  return absl::StrCat(value > 0 ? value : -1);
}

bool Exists(const std::string& file) {
  return access(file.c_str(), F_OK) == 0;
}

// Whether what the kernel tells is what was written: equal text, or a number
// rounded down to a page, or "no limit" in the kernel's words.
bool Matches(absl::string_view wanted, absl::string_view got) {
  if (wanted == got) {
    return true;
  }
  int64_t want = 0;
  int64_t have = 0;
  if (!absl::SimpleAtoi(wanted, &want) || !absl::SimpleAtoi(got, &have)) {
    return false;
  }
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t unlimited = std::numeric_limits<int64_t>::max() / page * page;
  return want < 0 ? have < 0 || have == unlimited : have == want / page * page;
}

// Writes and reads back on one descriptor: a limit that silently isn't there
// is worse than an error.
absl::Status Set(const std::string& file, absl::string_view value) {
  UniqueFd fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError(absl::StrCat("set ", value, ": open"), file);
  }
  if (write(fd.get(), value.data(), value.size()) < 0) {
    return ErrnoError(absl::StrCat("write ", value, " to"), file);
  }
  char text[256];
  const ssize_t n = pread(fd.get(), text, sizeof(text), 0);
  if (n < 0) {
    return ErrnoError("read", file);
  }
  const absl::string_view got = absl::StripAsciiWhitespace(
      absl::string_view(text, static_cast<size_t>(n)));
  if (!Matches(value, got)) {
    return absl::InternalError(absl::StrCat("write ", value, " to ", file,
                                            ": the kernel holds ", got));
  }
  return absl::OkStatus();
}

// An update may ask for a controller when the container runs already.
void MoveInto(const std::string& dir, const Cgroup& cgroup) {
  // A tenth of what the walk costs, which most have no need of.
  if (!cgroup.IsPopulated().value_or(true)) {
    return;
  }
  for (int pass = 0; pass < 2; ++pass) {
    absl::StatusOr<std::vector<int>> pids = cgroup.Processes();
    if (!pids.ok()) {
      return;
    }
    for (int pid : *pids) {
      (void)WriteText(dir + "/cgroup.procs", absl::StrCat(pid));
    }
  }
}

// The directory of `controller`, made and joined if that was put off.
absl::StatusOr<std::string> V1Directory(const Layout& layout,
                                        const std::string& controller,
                                        const Cgroup& cgroup) {
  const auto mount = layout.v1.find(controller);
  if (mount == layout.v1.end()) {
    return absl::NotFoundError(
        absl::StrCat("limit ", controller, ": no such cgroup controller"));
  }
  std::vector<std::string> made;
  RETURN_IF_ERROR(MakeDirectories(mount->second, cgroup.path(), made));
  const std::string dir = absl::StrCat(mount->second, "/", cgroup.path());
  // Nothing may enter a cpuset before it has a value.
  if (!made.empty() && controller != "cpuset") {
    MoveInto(dir, cgroup);
  }
  return dir;
}

absl::Status ApplyV1Cpu(const Layout& layout, const Cgroup& cgroup,
                        const Limits& limits) {
  if (!limits.cpu_shares && !limits.cpu_quota && !limits.cpu_period) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string dir, V1Directory(layout, "cpu", cgroup));
  if (limits.cpu_shares.value_or(0) > 0) {
    RETURN_IF_ERROR(Set(
        dir + "/cpu.shares",
        absl::StrCat(std::clamp(*limits.cpu_shares, kMinShares, kMaxShares))));
  }
  absl::Status period;
  const bool has_period = limits.cpu_period.value_or(0) > 0;
  if (has_period) {
    period = Set(dir + "/cpu.cfs_period_us", absl::StrCat(*limits.cpu_period));
  }
  if (limits.cpu_quota.value_or(0) != 0) {
    RETURN_IF_ERROR(
        Set(dir + "/cpu.cfs_quota_us", OrMinusOne(*limits.cpu_quota)));
    // A new period is refused while the old quota is too much for it.
    if (!period.ok()) {
      return Set(dir + "/cpu.cfs_period_us", absl::StrCat(*limits.cpu_period));
    }
  }
  return period;
}

absl::Status ApplyV1Memory(const Layout& layout, const Cgroup& cgroup,
                           const Limits& limits) {
  if (!limits.memory_bytes && !limits.swap_bytes) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string dir,
                   V1Directory(layout, "memory", cgroup));
  const std::string memory = dir + "/memory.limit_in_bytes";
  const std::string both = dir + "/memory.memsw.limit_in_bytes";
  // Without swap accounting there is nothing to limit.
  const bool has_swap = limits.swap_bytes.value_or(0) != 0 && Exists(both);
  const std::string swap = OrMinusOne(limits.swap_bytes.value_or(-1));
  if (limits.memory_bytes.value_or(0) == 0) {
    return has_swap ? Set(both, swap) : absl::OkStatus();
  }
  const std::string bytes = OrMinusOne(*limits.memory_bytes);
  if (!has_swap) {
    return Set(memory, bytes);
  }
  // memory <= both at any moment: which one goes first depends on whether
  // the limits grow or shrink.
  if (!Set(both, swap).ok()) {
    RETURN_IF_ERROR(Set(memory, bytes));
    return Set(both, swap);
  }
  return Set(memory, bytes);
}

// v1 cpusets start empty, and nothing may enter an empty one.
absl::Status InheritCpuset(const std::string& mount, const std::string& path) {
  std::string parent = mount;
  for (absl::string_view name : absl::StrSplit(path, '/')) {
    const std::string child = absl::StrCat(parent, "/", name);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      ASSIGN_OR_RETURN(const std::string own, ReadText(child + file));
      if (absl::StripAsciiWhitespace(own).empty()) {
        ASSIGN_OR_RETURN(const std::string from, ReadText(parent + file));
        RETURN_IF_ERROR(
            WriteText(child + file, absl::StripAsciiWhitespace(from)));
      }
    }
    parent = child;
  }
  return absl::OkStatus();
}

absl::Status ApplyCpuset(const std::string& dir, const Limits& limits) {
  // The kernel writes a set its own way ("0,1" becomes "0-1"), so there is
  // nothing to compare; it refuses what it can't give.
  if (!limits.cpuset_cpus.empty()) {
    RETURN_IF_ERROR(WriteText(dir + "/cpuset.cpus", limits.cpuset_cpus));
  }
  if (!limits.cpuset_mems.empty()) {
    RETURN_IF_ERROR(WriteText(dir + "/cpuset.mems", limits.cpuset_mems));
  }
  return absl::OkStatus();
}

absl::Status ApplyV1Cpuset(const Layout& layout, const Cgroup& cgroup,
                           const Limits& limits) {
  if (limits.cpuset_cpus.empty() && limits.cpuset_mems.empty()) {
    return absl::OkStatus();
  }
  const auto mount = layout.v1.find("cpuset");
  const bool created = mount != layout.v1.end() &&
                       !Exists(absl::StrCat(mount->second, "/", cgroup.path()));
  ASSIGN_OR_RETURN(const std::string dir,
                   V1Directory(layout, "cpuset", cgroup));
  RETURN_IF_ERROR(InheritCpuset(mount->second, cgroup.path()));
  RETURN_IF_ERROR(ApplyCpuset(dir, limits));
  if (created) {
    MoveInto(dir, cgroup);
  }
  return absl::OkStatus();
}

// The kubelet names every page size of the machine with 0 for pods that use
// none, also where the controller is missing: then 0 is no demand.
absl::Status SetHugetlb(const std::string& file, uint64_t bytes) {
  if (bytes == 0 && !Exists(file)) {
    return absl::OkStatus();
  }
  return Set(file, absl::StrCat(bytes));
}

absl::Status CheckFileName(absl::string_view name) {
  if (name.empty() || name.size() > 255 || !absl::StrContains(name, '.') ||
      absl::StartsWith(name, "cgroup.") || absl::StartsWith(name, ".") ||
      absl::StrContains(name, '/') ||
      std::any_of(name.begin(), name.end(), [](char c) {
        return !absl::ascii_isgraph(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(
        absl::StrCat("unified ", name, ": not a file of a controller"));
  }
  return absl::OkStatus();
}

absl::Status ApplyUnified(const std::string& dir, const Limits& limits) {
  for (const auto& [file, value] : limits.unified) {
    RETURN_IF_ERROR(CheckFileName(file));
    RETURN_IF_ERROR(WriteText(absl::StrCat(dir, "/", file), value));
  }
  return absl::OkStatus();
}

absl::Status ApplyV2Cpu(const std::string& dir, const Limits& limits) {
  if (limits.cpu_shares.value_or(0) > 0) {
    RETURN_IF_ERROR(Set(dir + "/cpu.weight",
                        absl::StrCat(WeightOfShares(*limits.cpu_shares))));
  }
  if (limits.cpu_quota.value_or(0) == 0 && limits.cpu_period.value_or(0) == 0) {
    return absl::OkStatus();
  }
  int64_t period = kDefaultPeriod;
  if (limits.cpu_period.value_or(0) > 0) {
    period = static_cast<int64_t>(*limits.cpu_period);
  }
  return Set(dir + "/cpu.max",
             absl::StrCat(OrMax(limits.cpu_quota.value_or(-1)), " ", period));
}

absl::Status ApplyV2Memory(const std::string& dir, const Limits& limits) {
  const int64_t memory = limits.memory_bytes.value_or(0);
  const int64_t both = limits.swap_bytes.value_or(0);
  if (both != 0) {
    // v2 counts swap alone, the CRI memory and swap together.
    const std::string swap =
        both < 0 ? "max" : absl::StrCat(both - std::max<int64_t>(memory, 0));
    const std::string file = dir + "/memory.swap.max";
    if (Exists(file) || (swap != "max" && swap != "0")) {
      RETURN_IF_ERROR(Set(file, swap));
    }
  }
  return memory == 0 ? absl::OkStatus()
                     : Set(dir + "/memory.max", OrMax(memory));
}

absl::Status CheckSwap(const Limits& limits) {
  const int64_t both = limits.swap_bytes.value_or(0);
  const int64_t memory = limits.memory_bytes.value_or(0);
  if (both > 0 && (memory <= 0 || both < memory)) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit memory and swap to ", both,
                     ": less than the limit of memory, ", memory));
  }
  return absl::OkStatus();
}

absl::Status ApplyV1(const Layout& layout, const Cgroup& cgroup,
                     const Limits& limits) {
  const std::string& path = cgroup.path();
  RETURN_IF_ERROR(ApplyV1Cpu(layout, cgroup, limits));
  RETURN_IF_ERROR(ApplyV1Cpuset(layout, cgroup, limits));
  if (limits.pids.has_value()) {
    ASSIGN_OR_RETURN(const std::string dir,
                     V1Directory(layout, "pids", cgroup));
    RETURN_IF_ERROR(Set(dir + "/pids.max", OrMax(*limits.pids)));
  }
  const auto hugetlb = layout.v1.find("hugetlb");
  const std::string base =
      hugetlb == layout.v1.end() ? layout.unified : hugetlb->second;
  if (hugetlb != layout.v1.end() && !limits.hugetlb.empty()) {
    std::vector<std::string> made;
    RETURN_IF_ERROR(MakeDirectories(base, path, made));
  }
  const char* suffix = hugetlb == layout.v1.end() ? ".max" : ".limit_in_bytes";
  for (const auto& [size, bytes] : limits.hugetlb) {
    RETURN_IF_ERROR(SetHugetlb(
        absl::StrCat(base, "/", path, "/hugetlb.", size, suffix), bytes));
  }
  RETURN_IF_ERROR(ApplyUnified(cgroup.unified_path(), limits));
  return ApplyV1Memory(layout, cgroup, limits);
}

absl::Status ApplyV2(const std::string& dir, const Limits& limits) {
  RETURN_IF_ERROR(ApplyV2Cpu(dir, limits));
  RETURN_IF_ERROR(ApplyCpuset(dir, limits));
  if (limits.pids.has_value()) {
    RETURN_IF_ERROR(Set(dir + "/pids.max", OrMax(*limits.pids)));
  }
  for (const auto& [size, bytes] : limits.hugetlb) {
    RETURN_IF_ERROR(
        SetHugetlb(absl::StrCat(dir, "/hugetlb.", size, ".max"), bytes));
  }
  RETURN_IF_ERROR(ApplyUnified(dir, limits));
  return ApplyV2Memory(dir, limits);
}

}  // namespace

uint64_t WeightOfShares(uint64_t shares) {
  if (shares <= kMinShares) {
    return 1;
  }
  if (shares >= kMaxShares) {
    return 10000;
  }
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  // Exact results must not be rounded up by the last bit of pow().
  return static_cast<uint64_t>(std::ceil(std::pow(10, exponent) - 1e-9));
}

absl::Status Cgroup::Apply(const Limits& limits) {
  if (unified_only_) {
    return absl::FailedPreconditionError(
        absl::StrCat("limit ", path_, ": it has no controllers"));
  }
  RETURN_IF_ERROR(CheckSwap(limits));
  if (layout_->is_v2()) {
    return ApplyV2(unified_path(), limits);
  }
  return ApplyV1(*layout_, *this, limits);
}

}  // namespace caisson::cgroup
