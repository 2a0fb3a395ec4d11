#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace caisson::cgroup {

// Where the hierarchies are on this machine, found in /proc/self/mountinfo.
struct Layout {
  // Mount point of cgroup2: /sys/fs/cgroup, or .../unified on hybrid hosts.
  std::string unified;
  // v1: controller -> mount point ("memory" -> "/sys/fs/cgroup/memory");
  // co-mounted controllers share one.  Empty on a pure v2 machine.
  std::map<std::string, std::string> v1;
  // v1: mount point -> `tasks` of its root, for writing.  May lack some.
  std::map<std::string, std::shared_ptr<const UniqueFd>> root_tasks;

  bool is_v2() const { return v1.empty(); }
};

// NotFound when no cgroup2 is mounted and none can be: a hybrid host that
// mounts none gets one at `fallback_unified` (created).
absl::StatusOr<Layout> DetectLayout(const std::string& fallback_unified);

// Limits; absent: the kernel's default.  Units: bytes, microseconds, weights
// of CRI's cpu_shares (2..262144).
struct Limits {
  std::optional<uint64_t> cpu_shares;
  std::optional<int64_t> cpu_quota;  // microseconds a period; -1: none
  std::optional<uint64_t> cpu_period;
  std::optional<int64_t> memory_bytes;
  std::optional<int64_t> swap_bytes;  // memory and swap together
  std::optional<int64_t> pids;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::map<std::string, std::string> unified;  // v2 file -> value
  std::map<std::string, uint64_t> hugetlb;     // page size "2MB" -> bytes
};

// cpu.weight of cgroup v2 for a cpu_shares of v1: the quadratic formula,
// 2 -> 1, 1024 -> 100, 262144 -> 10000.
uint64_t WeightOfShares(uint64_t shares);

// One container's (or pod's, or the keepers') cgroup: the directory of the
// same relative path in the v2 hierarchy and, on v1, in each controller's.
// The kernel's objects outlive this one: only Destroy() removes them.
// Thread-compatible.
class Cgroup {
 public:
  // Makes the directories (parents too, with the v2 controllers enabled on
  // the way down).  `path` is relative: "kubepods/pod1/ID"; InvalidArgument
  // for "..", empty or absolute parts.  Existing ones are taken over.  On
  // failure what was made here is removed.
  static absl::StatusOr<Cgroup> Create(const Layout& layout,
                                       const std::string& path);
  // The same without making anything; NotFound when the v2 one is absent.
  static absl::StatusOr<Cgroup> Open(const Layout& layout,
                                     const std::string& path);

  // Writes the limits and reads each back; the error names file and value.
  // On v1 it may join further hierarchies (cpuset): call it before OpenTasks.
  // memory comes last.
  absl::Status Apply(const Limits& limits);

  // For placement: the v2 directory (O_RDONLY|O_DIRECTORY|O_CLOEXEC) and
  // `tasks` of each distinct v1 hierarchy (O_WRONLY|O_CLOEXEC), of the nearest
  // ancestor where it has no directory of its own.
  absl::StatusOr<UniqueFd> OpenUnified() const;
  absl::StatusOr<std::vector<UniqueFd>> OpenTasks() const;

  // Moves a process into the v2 one.  Slow on a busy machine (10 ms): whoever
  // can is born there.
  absl::Status Enter(int pid) const;

  // A child in the v2 hierarchy only: for one exec, killed as a whole.
  absl::StatusOr<Cgroup> CreateUnifiedChild(const std::string& name) const;

  // SIGKILL to all in it and below: cgroup.kill.  OK when empty or absent.
  absl::Status Kill() const;
  absl::Status Freeze(bool frozen) const;
  // cgroup.events `populated`; false when absent.
  absl::StatusOr<bool> IsPopulated() const;
  // Waits (POLLPRI of cgroup.events) until nothing runs in it.
  absl::Status WaitUntilEmpty(Deadline deadline) const;
  // Pids in it and below, v2 hierarchy.
  absl::StatusOr<std::vector<int>> Processes() const;

  // Count of OOM kills: memory.events (v2) or memory.oom_control (v1).
  absl::StatusOr<uint64_t> OomKills() const;

  // Says on the v2 directory whose it is, for FindMarked(): the extended
  // attribute trusted.caisson.pod, which only CAP_SYS_ADMIN in the host's user
  // namespace can set or see (xattr(7)).  It goes with the directory.
  absl::Status Mark(const std::string& pod_id) const;

  // Bytes in use: memory.current or memory.usage_in_bytes.
  absl::StatusOr<uint64_t> MemoryUsage() const;

  // Nanoseconds of CPU time used: cpu.stat of v2, on any machine.
  absl::StatusOr<uint64_t> CpuUsage() const;

  // Removes it and cgroups below it in all hierarchies.  Idempotent;
  // FailedPrecondition while populated.
  absl::Status Destroy() const;

  const std::string& path() const { return path_; }

  // Absolute path of its v2 directory.
  std::string unified_path() const;

 private:
  Cgroup(const Layout& layout, std::string path)
      : layout_(&layout), path_(std::move(path)) {}

  const Layout* layout_;  // outlives this
  std::string path_;
  bool unified_only_ = false;
};

struct MarkedCgroup {
  std::string path;  // relative, as Cgroup::Open() takes it
  std::string pod_id;
};

// The cgroups of the v2 hierarchy that Mark() was called on, outermost first;
// what is below a marked one is not looked at.  DeadlineExceeded and
// ResourceExhausted (nested deeper than 64, or more than 100 000 cgroups) come
// instead of an incomplete list.  Any thread.
absl::StatusOr<std::vector<MarkedCgroup>> FindMarked(const Layout& layout,
                                                     Deadline deadline);

}  // namespace caisson::cgroup
