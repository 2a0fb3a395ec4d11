#include "shim/recover/difference.h"

#include "absl/strings/string_view.h"
#include "runtime/base/id.h"

namespace caisson::recover {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

bool KeeperLives(const Inventory& inventory, const PodRecord& pod) {
  const auto found = inventory.keepers.find(pod.keeper_pid());
  return pod.boot_id() == inventory.boot_id &&
         found != inventory.keepers.end() &&
         found->second == pod.keeper_start_ticks();
}

std::string LastPart(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// What becomes of the pods that have records.
class Owned {
 public:
  explicit Owned(const Inventory& inventory) : inventory_(inventory) {
    for (const PodRecord& pod : inventory.records.pods) {
      pods_.insert(pod.id());
    }
  }

  void Decide(Actions& actions) {
    for (const PodRecord& pod : inventory_.records.pods) {
      DecidePod(pod, actions);
    }
    for (const ContainerRecord& container : inventory_.records.containers) {
      DecideContainer(container, actions);
    }
  }

  bool HasPod(const std::string& id) const { return pods_.contains(id); }

  bool HasContainer(const std::string& id) const {
    return containers_.contains(id);
  }

  bool HasKeeper(int pid) const { return keepers_.contains(pid); }

 private:
  void DecidePod(const PodRecord& pod, Actions& actions) {
    const bool lives = KeeperLives(inventory_, pod);
    if (lives) {
      keepers_.insert(pod.keeper_pid());
      resumed_.insert(pod.id());
      actions.resume.push_back(pod.id());
    }
    if (pod.state() == PodRecord::CREATING || pod.removing()) {
      actions.remove.push_back(pod.id());
    } else if (!lives && pod.state() == PodRecord::READY) {
      actions.stop.push_back(pod.id());
    } else if (pod.state() == PodRecord::STOPPED &&
               (lives || pod.network_attached())) {
      actions.stop.push_back(pod.id());
    }
  }

  void DecideContainer(const ContainerRecord& container, Actions& actions) {
    if (!HasPod(container.pod_id())) {
      actions.orphans.containers.push_back(container);
      return;
    }
    containers_.insert(container.id());
    if (container.state() == ContainerRecord::CREATING) {
      actions.remove_containers.push_back(container.id());
    } else if (container.state() != ContainerRecord::EXITED &&
               !resumed_.contains(container.pod_id())) {
      actions.ended.push_back(container.id());
    } else if (container.state() != ContainerRecord::EXITED &&
               container.kill_at() != 0) {
      actions.stops.push_back({container.id(), container.kill_at()});
    }
  }

  const Inventory& inventory_;
  std::set<std::string> pods_;
  std::set<std::string> containers_;
  std::set<std::string> resumed_;
  std::set<int> keepers_;
};

void FindOrphans(const Inventory& inventory, const Owned& owned,
                 Actions::Orphans& orphans) {
  for (const auto& [pid, start] : inventory.keepers) {
    if (!owned.HasKeeper(pid)) {
      orphans.keepers.push_back(pid);
    }
  }
  for (const cgroup::MarkedCgroup& group : inventory.cgroups) {
    const std::string name = LastPart(group.path);
    // One of a container that was being made, or of a pod that is gone.
    if (!owned.HasPod(group.pod_id) ||
        (IsGeneratedId(name) && !owned.HasPod(name) &&
         !owned.HasContainer(name))) {
      orphans.cgroups.push_back(group);
    }
  }
  const auto without_pod = [&](const std::set<std::string>& names,
                               std::vector<std::string>& found) {
    for (const std::string& name : names) {
      if (!owned.HasPod(name)) {
        found.push_back(name);
      }
    }
  };
  without_pod(inventory.attachments, orphans.attachments);
  without_pod(inventory.network_pins, orphans.network_pins);
  without_pod(inventory.pod_directories, orphans.pod_directories);
  std::set<std::string> owners;
  for (const store::Records::PodLease& lease : inventory.records.leases) {
    owners.insert(lease.pod);
  }
  without_pod(owners, orphans.lease_owners);
  for (const auto* ids : {&inventory.records.damaged_pods,
                          &inventory.records.damaged_containers}) {
    orphans.damaged.insert(orphans.damaged.end(), ids->begin(), ids->end());
  }
  for (const std::string& name : inventory.container_directories) {
    if (!owned.HasContainer(name)) {
      orphans.container_directories.push_back(name);
    }
  }
}

}  // namespace

bool Actions::Orphans::empty() const {
  return keepers.empty() && cgroups.empty() && containers.empty() &&
         attachments.empty() && network_pins.empty() &&
         pod_directories.empty() && container_directories.empty() &&
         lease_owners.empty() && damaged.empty();
}

Actions Difference(const Inventory& inventory) {
  Actions actions;
  Owned owned(inventory);
  owned.Decide(actions);
  FindOrphans(inventory, owned, actions.orphans);
  return actions;
}

}  // namespace caisson::recover
