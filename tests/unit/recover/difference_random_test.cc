#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/recover/situation.h"

// What holds for each inventory, whatever is in it.
namespace caisson::recover {
namespace {

constexpr int kRounds = 3000;

class RandomInventory {
 public:
  explicit RandomInventory(unsigned seed) : random_(seed) {}

  Inventory Make() {
    Situation situation;
    // Few ids: so that things meet.
    for (int i = 0; i < 6; ++i) {
      if (Chance(3)) {
        situation.Pod(static_cast<PodRecord::State>(Below(3)), Chance(2),
                      PodId(i), Below(8));
        situation.inventory.records.pods.back().set_keeper_start_ticks(
            static_cast<uint64_t>(Below(3)));
      }
      if (Chance(2)) {
        situation.Container(static_cast<ContainerRecord::State>(Below(4)),
                            Below(2), ContainerId(i), PodId(Below(6)));
      }
      if (Chance(2)) {
        situation.Keeper(Below(8) + 1, static_cast<uint64_t>(Below(3)));
      }
      AddThings(situation, i);
    }
    if (Chance(8)) {
      situation.Boot("next");
    }
    return situation.inventory;
  }

 private:
  static std::string PodId(int i) { return IdOf("a" + std::to_string(i)); }

  static std::string ContainerId(int i) {
    return IdOf("c" + std::to_string(i));
  }

  void AddThings(Situation& situation, int i) {
    if (Chance(2)) {
      situation.Cgroup("caisson/" + PodId(i), PodId(i));
    }
    if (Chance(2)) {
      const std::string pod = PodId(Below(6));
      situation.Cgroup("kubepods/x/" + ContainerId(i), pod);
    }
    if (Chance(2)) {
      situation.PodFiles(PodId(i));
    }
    if (Chance(2)) {
      situation.ContainerFiles(ContainerId(i));
    }
    if (Chance(2)) {
      situation.Pin(PodId(i));
    }
    if (Chance(2)) {
      situation.Attachment(PodId(i));
    }
    if (Chance(2)) {
      situation.Lease(PodId(i));
    }
  }

  int Below(int end) {
    return static_cast<int>(random_() % static_cast<unsigned>(end));
  }

  bool Chance(int of) { return Below(of) == 0; }

  std::mt19937 random_;
};

class DifferenceRandomTest : public ::testing::Test {
 protected:
  // Calls `check` for many inventories.
  template <typename Check>
  void ForEach(const Check& check) {
    for (unsigned seed = 0; seed < kRounds; ++seed) {
      SCOPED_TRACE(seed);
      const Inventory inventory = RandomInventory(seed).Make();
      check(inventory, Difference(inventory));
      if (HasFailure()) {
        return;
      }
    }
  }

  static std::set<std::string> Pods(const Inventory& inventory) {
    std::set<std::string> ids;
    for (const PodRecord& pod : inventory.records.pods) {
      ids.insert(pod.id());
    }
    return ids;
  }

  static std::set<std::string> LeaseOwners(const Inventory& inventory) {
    std::set<std::string> ids;
    for (const store::Records::PodLease& lease : inventory.records.leases) {
      ids.insert(lease.pod);
    }
    return ids;
  }

  static std::set<std::string> Containers(const Inventory& inventory) {
    std::set<std::string> ids;
    for (const ContainerRecord& container : inventory.records.containers) {
      ids.insert(container.id());
    }
    return ids;
  }
};

TEST_F(DifferenceRandomTest, NoOrphanIsOwned) {
  ForEach([](const Inventory& inventory, const Actions& actions) {
    const std::set<std::string> pods = Pods(inventory);
    const Actions::Orphans& orphans = actions.orphans;
    for (const auto* names :
         {&orphans.attachments, &orphans.network_pins, &orphans.pod_directories,
          &orphans.lease_owners}) {
      for (const std::string& name : *names) {
        EXPECT_FALSE(pods.contains(name)) << name;
      }
    }
    for (const ContainerRecord& container : orphans.containers) {
      EXPECT_FALSE(pods.contains(container.pod_id()));
    }
    const std::set<std::string> resumed(actions.resume.begin(),
                                        actions.resume.end());
    for (const PodRecord& pod : inventory.records.pods) {
      const std::set<int> keepers(orphans.keepers.begin(),
                                  orphans.keepers.end());
      EXPECT_FALSE(resumed.contains(pod.id()) &&
                   keepers.contains(pod.keeper_pid()));
    }
    for (const cgroup::MarkedCgroup& group : orphans.cgroups) {
      EXPECT_FALSE(group.path == "caisson/" + group.pod_id &&
                   pods.contains(group.pod_id));
    }
  });
}

TEST_F(DifferenceRandomTest, AllThatNoRecordOwnsIsAnOrphan) {
  ForEach([](const Inventory& inventory, const Actions& actions) {
    const std::set<std::string> pods = Pods(inventory);
    const Actions::Orphans& orphans = actions.orphans;
    const auto check = [&](const std::set<std::string>& there,
                           const std::vector<std::string>& found) {
      size_t unowned = 0;
      for (const std::string& name : there) {
        unowned += pods.contains(name) ? 0 : 1;
      }
      EXPECT_EQ(found.size(), unowned);
    };
    check(inventory.attachments, orphans.attachments);
    check(inventory.network_pins, orphans.network_pins);
    check(inventory.pod_directories, orphans.pod_directories);
    check(LeaseOwners(inventory), orphans.lease_owners);
    EXPECT_GE(actions.resume.size() + orphans.keepers.size(),
              inventory.keepers.size());
    std::set<std::string> kept_groups;
    for (const cgroup::MarkedCgroup& group : orphans.cgroups) {
      kept_groups.insert(group.path);
    }
    for (const cgroup::MarkedCgroup& group : inventory.cgroups) {
      EXPECT_TRUE(pods.contains(group.pod_id) ||
                  kept_groups.contains(group.path));
    }
  });
}

// The fates that exclude each other.
TEST_F(DifferenceRandomTest, EachContainerHasOneFate) {
  ForEach([](const Inventory& inventory, const Actions& actions) {
    std::map<std::string, int> fates;
    for (const std::string& id : actions.remove_containers) {
      ++fates[id];
    }
    for (const std::string& id : actions.ended) {
      ++fates[id];
    }
    for (const UnfinishedStop& stop : actions.stops) {
      ++fates[stop.container_id];
    }
    for (const ContainerRecord& container : actions.orphans.containers) {
      ++fates[container.id()];
    }
    const std::set<std::string> containers = Containers(inventory);
    for (const auto& [id, count] : fates) {
      EXPECT_EQ(count, 1) << id;
      EXPECT_TRUE(containers.contains(id));
    }
    const std::set<std::string> resumed(actions.resume.begin(),
                                        actions.resume.end());
    for (const ContainerRecord& container : inventory.records.containers) {
      // Without one it goes on, or has ended.
      if (!fates.contains(container.id())) {
        EXPECT_NE(container.state(), ContainerRecord::CREATING);
        EXPECT_TRUE(
            container.state() == ContainerRecord::EXITED ||
            (resumed.contains(container.pod_id()) && container.kill_at() == 0));
      }
    }
  });
}

TEST_F(DifferenceRandomTest, EachPodHasOneFate) {
  ForEach([](const Inventory& inventory, const Actions& actions) {
    std::map<std::string, int> ends;
    for (const auto* ids : {&actions.stop, &actions.remove}) {
      for (const std::string& id : *ids) {
        ++ends[id];
      }
    }
    const std::set<std::string> resumed(actions.resume.begin(),
                                        actions.resume.end());
    EXPECT_EQ(resumed.size(), actions.resume.size());
    for (const PodRecord& pod : inventory.records.pods) {
      const int count = ends[pod.id()];
      EXPECT_LE(count, 1);
      // One that is ready and lives goes on, one that is stopped and has
      // nothing left stays; all others come to an end.
      const bool lives = resumed.contains(pod.id());
      const bool rests = (pod.state() == PodRecord::READY && lives) ||
                         (pod.state() == PodRecord::STOPPED && !lives &&
                          !pod.network_attached());
      EXPECT_EQ(count, rests ? 0 : 1);
      EXPECT_FALSE(lives && pod.boot_id() != inventory.boot_id);
    }
  });
}

TEST_F(DifferenceRandomTest, IdsAreFreeOnlyWhereNoRecordHasThem) {
  ForEach([](const Inventory& inventory, const Actions& actions) {
    const std::set<std::string> pods = Pods(inventory);
    const std::set<std::string> freed(actions.orphans.lease_owners.begin(),
                                      actions.orphans.lease_owners.end());
    for (const std::string& owner : LeaseOwners(inventory)) {
      EXPECT_EQ(freed.contains(owner), !pods.contains(owner));
    }
  });
}

}  // namespace
}  // namespace caisson::recover
