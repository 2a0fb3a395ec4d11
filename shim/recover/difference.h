#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/state/v1/state.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/store/store.h"

// What an earlier daemon left, and what is to be done about it.
namespace caisson::recover {

// What is there at the start.
struct Inventory {
  store::Records records;
  std::string boot_id;
  // Keepers by pid, with their start (KeeperIdentity).
  std::map<int, uint64_t> keepers;
  std::vector<cgroup::MarkedCgroup> cgroups;
  // Names of files and directories, each a pod's or a container's id.
  std::set<std::string> pod_directories;
  std::set<std::string> container_directories;
  std::set<std::string> network_pins;
  // Pods of which a plugin's result is kept.
  std::set<std::string> attachments;
};

// A stop that was under way.
struct UnfinishedStop {
  std::string container_id;
  int64_t kill_at = 0;  // nanoseconds since the epoch
};

// What to do, each list in any order.  Ids.
struct Actions {
  // Pods whose keeper lives: it is taken up.
  std::vector<std::string> resume;
  // Pods that can't go on, or whose stop did not come to its end.
  std::vector<std::string> stop;
  // Pods whose making did not come to its end: nobody has their ids.
  std::vector<std::string> remove;
  // Containers likewise.
  std::vector<std::string> remove_containers;
  // Containers that ended unheard.
  std::vector<std::string> ended;
  std::vector<UnfinishedStop> stops;

  // What no record owns.
  struct Orphans {
    std::vector<int> keepers;
    std::vector<cgroup::MarkedCgroup> cgroups;
    // Containers of pods without a record.
    std::vector<state::v1::ContainerRecord> containers;
    std::vector<std::string> attachments;
    std::vector<std::string> network_pins;
    std::vector<std::string> pod_directories;
    std::vector<std::string> container_directories;
    // Pods whose ranges are free when all of the above is gone, and records
    // that can't be read.
    std::vector<std::string> lease_owners;
    std::vector<std::string> damaged;

    bool empty() const;
  } orphans;
};

// Pure.  The records themselves are all to be kept in memory but those of
// `orphans.containers`.
Actions Difference(const Inventory& inventory);

}  // namespace caisson::recover
