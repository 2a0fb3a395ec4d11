#include "shim/recover/take_inventory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process_stat.h"
#include "shim/ops/cgroup_mark.h"
#include "shim/ops/scopes.h"

namespace caisson::recover {
namespace {

// A walk over the tree of cgroups; of 1000 pods it takes some milliseconds.
constexpr absl::Duration kWalkTime = absl::Seconds(5);

// Names of entries of `directory` that are ids of ours.
std::set<std::string> IdsIn(const std::string& directory) {
  std::set<std::string> ids;
  const absl::StatusOr<std::vector<DirectoryEntry>> entries =
      ListDirectory(directory);
  if (!entries.ok()) {
    if (!absl::IsNotFound(entries.status())) {
      LogWarning(absl::StrCat("take inventory: ", entries.status().message()));
    }
    return ids;
  }
  for (const DirectoryEntry& entry : *entries) {
    if (IsGeneratedId(entry.name)) {
      ids.insert(entry.name);
    }
  }
  return ids;
}

std::map<int, uint64_t> FindKeepers(const ops::Node& node, int fork_server) {
  std::map<int, uint64_t> keepers;
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(node.layout, ops::KeepersCgroup(node.config.cgroup));
  const absl::StatusOr<std::vector<int>> pids =
      group.ok() ? group->Processes() : group.status();
  if (!pids.ok()) {
    LogWarning(
        absl::StrCat("take inventory of keepers: ", pids.status().message()));
    return keepers;
  }
  for (const int pid : *pids) {
    const absl::StatusOr<uint64_t> start =
        kernel::ReadProcessStat(pid, kernel::kStatStartTime);
    // One that ends meanwhile is gone.
    if (pid != fork_server && start.ok()) {
      keepers[pid] = *start;
    }
  }
  return keepers;
}

std::vector<cgroup::MarkedCgroup> FindCgroups(const ops::Node& node) {
  std::vector<cgroup::MarkedCgroup> ours;
  const absl::StatusOr<std::vector<cgroup::MarkedCgroup>> all =
      cgroup::FindMarked(node.layout, Deadline::After(kWalkTime));
  if (!all.ok()) {
    LogWarning(
        absl::StrCat("take inventory of cgroups: ", all.status().message()));
    return ours;
  }
  for (const cgroup::MarkedCgroup& group : *all) {
    if (const auto pod = ops::PodOfMark(node, group.pod_id); pod.has_value()) {
      ours.push_back({group.path, *pod});
    }
  }
  return ours;
}

template <typename Value, typename Found>
void Keep(absl::StatusOr<Found> found, const char* what, Value& value) {
  if (found.ok()) {
    value = Value(found->begin(), found->end());
  } else {
    LogWarning(absl::StrCat("take inventory of ", what, ": ",
                            found.status().message()));
  }
}

}  // namespace

absl::StatusOr<Inventory> TakeInventory(const ops::Node& node,
                                        const ops::Paths& paths,
                                        store::Store& store, network::Cni& cni,
                                        int fork_server) {
  Inventory inventory;
  ASSIGN_OR_RETURN(inventory.records, store.Load());
  inventory.boot_id = node.boot_id;
  inventory.keepers = FindKeepers(node, fork_server);
  inventory.cgroups = FindCgroups(node);
  inventory.pod_directories = IdsIn(paths.PodsDirectory());
  inventory.container_directories = IdsIn(paths.ContainersDirectory());
  inventory.network_pins = IdsIn(paths.PinsDirectory());
  Keep(cni.CachedPods(), "networks", inventory.attachments);
  return inventory;
}

}  // namespace caisson::recover
