#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "shim/recover/difference.h"
#include "tests/support/objects.h"

// Inventories and what is expected of them, in a few words.
namespace caisson::recover {

using state::v1::ContainerRecord;
using state::v1::PodRecord;
using testing::IdOf;

inline const std::string kPod = IdOf("a0d1");
inline const std::string kPod2 = IdOf("a0d2");
inline const std::string kGone = IdOf("90e");
inline const std::string kContainer = IdOf("c1");
inline const std::string kContainer2 = IdOf("c2");
inline const std::string kLost = IdOf("105");

inline constexpr char kBoot[] = "this-boot";
inline constexpr int kPid = 4711;
inline constexpr uint64_t kTicks = 123456;

// An inventory, built up.
struct Situation {
  Inventory inventory;

  Situation() { inventory.boot_id = kBoot; }

  Situation& Pod(PodRecord::State state, bool attached = false,
                 const std::string& id = kPod, int pid = kPid) {
    PodRecord& pod = inventory.records.pods.emplace_back();
    pod.set_id(id);
    pod.set_state(state);
    pod.set_network_attached(attached);
    pod.set_boot_id(kBoot);
    pod.set_keeper_pid(pid);
    pod.set_keeper_start_ticks(kTicks);
    return *this;
  }

  // Of the last pod: its removal was begun.
  Situation& Removing() {
    inventory.records.pods.back().set_removing(true);
    return *this;
  }

  Situation& Boot(const std::string& boot) {
    inventory.boot_id = boot;
    return *this;
  }

  Situation& Keeper(int pid = kPid, uint64_t ticks = kTicks) {
    inventory.keepers[pid] = ticks;
    return *this;
  }

  Situation& Container(ContainerRecord::State state, int64_t kill_at = 0,
                       const std::string& id = kContainer,
                       const std::string& pod = kPod) {
    ContainerRecord& container = inventory.records.containers.emplace_back();
    container.set_id(id);
    container.set_pod_id(pod);
    container.set_state(state);
    container.set_kill_at(kill_at);
    return *this;
  }

  Situation& Cgroup(const std::string& path, const std::string& pod = kPod) {
    inventory.cgroups.push_back({path, pod});
    return *this;
  }

  Situation& PodFiles(const std::string& id) {
    inventory.pod_directories.insert(id);
    return *this;
  }

  Situation& ContainerFiles(const std::string& id) {
    inventory.container_directories.insert(id);
    return *this;
  }

  Situation& Pin(const std::string& id) {
    inventory.network_pins.insert(id);
    return *this;
  }

  Situation& Attachment(const std::string& id) {
    inventory.attachments.insert(id);
    return *this;
  }

  Situation& Lease(const std::string& id) {
    inventory.records.leases.push_back({id, {1 << 28, 65536}});
    return *this;
  }

  Situation& Damaged(const std::string& pod, const std::string& container) {
    inventory.records.damaged_pods.push_back(pod);
    inventory.records.damaged_containers.push_back(container);
    return *this;
  }
};

// Actions, as sorted words: "resume a0d1", "orphan keeper 5".
inline std::vector<std::string> Words(const Actions& actions) {
  std::vector<std::string> words;
  const auto add = [&](const std::string& what,
                       const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      // Ids without the zeros that fill them up.
      const size_t end = name.find("00000000");
      words.push_back(what + " " + name.substr(0, end));
    }
  };
  add("resume", actions.resume);
  add("stop", actions.stop);
  add("remove", actions.remove);
  add("remove-container", actions.remove_containers);
  add("ended", actions.ended);
  for (const UnfinishedStop& stop : actions.stops) {
    add("finish-stop-at-" + std::to_string(stop.kill_at), {stop.container_id});
  }
  for (const int pid : actions.orphans.keepers) {
    add("orphan-keeper", {std::to_string(pid)});
  }
  for (const cgroup::MarkedCgroup& group : actions.orphans.cgroups) {
    words.push_back("orphan-cgroup " + group.path);
  }
  for (const ContainerRecord& container : actions.orphans.containers) {
    add("orphan-container", {container.id()});
  }
  add("orphan-attachment", actions.orphans.attachments);
  add("orphan-pin", actions.orphans.network_pins);
  add("orphan-pod-files", actions.orphans.pod_directories);
  add("orphan-container-files", actions.orphans.container_directories);
  add("orphan-lease", actions.orphans.lease_owners);
  add("orphan-damaged", actions.orphans.damaged);
  std::sort(words.begin(), words.end());
  return words;
}

struct Row {
  const char* name;
  Situation situation;
  std::vector<std::string> expected;  // sorted
};

inline void CheckRows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(Words(Difference(row.situation.inventory)), row.expected)
        << row.name;
  }
}

}  // namespace caisson::recover
