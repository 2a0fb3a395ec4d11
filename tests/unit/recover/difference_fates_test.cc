#include <gtest/gtest.h>

#include "tests/unit/recover/situation.h"

// What becomes of pods and containers that have records.
namespace caisson::recover {
namespace {

constexpr auto kCreating = PodRecord::CREATING;
constexpr auto kReady = PodRecord::READY;
constexpr auto kStopped = PodRecord::STOPPED;

// A pid that no keeper has.
constexpr int kOther = 99;

TEST(DifferenceTest, NothingIsDoneAboutNothing) {
  const Actions actions = Difference(Inventory());
  EXPECT_TRUE(Words(actions).empty());
  EXPECT_TRUE(actions.orphans.empty());
}

TEST(DifferenceTest, PodsWhoseKeeperLives) {
  CheckRows({
      {"ready", Situation().Pod(kReady).Keeper(), {"resume a0d1"}},
      {"ready, attached",
       Situation().Pod(kReady, true).Keeper(),
       {"resume a0d1"}},
      {"creating: it is nobody's yet, but its keeper is known",
       Situation().Pod(kCreating).Keeper(),
       {"remove a0d1", "resume a0d1"}},
      {"creating, attached",
       Situation().Pod(kCreating, true).Keeper(),
       {"remove a0d1", "resume a0d1"}},
      {"stopped: the stop ended before it reached the keeper",
       Situation().Pod(kStopped).Keeper(),
       {"resume a0d1", "stop a0d1"}},
      {"stopped, attached",
       Situation().Pod(kStopped, true).Keeper(),
       {"resume a0d1", "stop a0d1"}},
  });
}

TEST(DifferenceTest, PodsWhoseKeeperIsGone) {
  CheckRows({
      {"ready", Situation().Pod(kReady), {"stop a0d1"}},
      {"ready, attached", Situation().Pod(kReady, true), {"stop a0d1"}},
      {"creating", Situation().Pod(kCreating), {"remove a0d1"}},
      {"creating, attached", Situation().Pod(kCreating, true), {"remove a0d1"}},
      {"creating, before it had a keeper",
       Situation().Pod(kCreating, false, kPod, 0),
       {"remove a0d1"}},
      {"stopped and done", Situation().Pod(kStopped), {}},
      {"stopped, its DEL failed",
       Situation().Pod(kStopped, true),
       {"stop a0d1"}},
      {"its removal was begun, and its DEL failed",
       Situation().Pod(kStopped, true).Removing(),
       {"remove a0d1"}},
      {"its removal was begun, and its DEL was done",
       Situation().Pod(kStopped).Removing(),
       {"remove a0d1"}},
  });
}

TEST(DifferenceTest, KeepersThatOnlyLookLikeIt) {
  CheckRows({
      {"its pid is a later keeper's",
       Situation().Pod(kReady).Keeper(kPid, kTicks + 1),
       {"orphan-keeper 4711", "stop a0d1"}},
      {"the same of one that was being made",
       Situation().Pod(kCreating).Keeper(kPid, kTicks + 1),
       {"orphan-keeper 4711", "remove a0d1"}},
      {"the same of a stopped one",
       Situation().Pod(kStopped).Keeper(kPid, kTicks + 1),
       {"orphan-keeper 4711"}},
      {"another pid",
       Situation().Pod(kReady).Keeper(kOther),
       {"orphan-keeper 99", "stop a0d1"}},
      {"no pid was recorded",
       Situation().Pod(kCreating, false, kPod, 0).Keeper(),
       {"orphan-keeper 4711", "remove a0d1"}},
      {"pid and start are right, but the machine was booted since",
       Situation().Pod(kReady).Keeper().Boot("next"),
       {"orphan-keeper 4711", "stop a0d1"}},
  });
}

TEST(DifferenceTest, AfterAReboot) {
  CheckRows({
      {"ready", Situation().Pod(kReady, true).Boot("next"), {"stop a0d1"}},
      {"creating",
       Situation().Pod(kCreating, true).Boot("next"),
       {"remove a0d1"}},
      {"stopped", Situation().Pod(kStopped).Boot("next"), {}},
      {"stopped, attached",
       Situation().Pod(kStopped, true).Boot("next"),
       {"stop a0d1"}},
      {"with a container, a disk's files and a cached result",
       Situation()
           .Pod(kReady, true)
           .Boot("next")
           .Container(ContainerRecord::RUNNING)
           .ContainerFiles(kContainer)
           .Attachment(kPod)
           .Lease(kPod),
       {"ended c1", "stop a0d1"}},
  });
}

TEST(DifferenceTest, ContainersOfAKeeperThatLives) {
  CheckRows({
      {"creating",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::CREATING),
       {"remove-container c1", "resume a0d1"}},
      {"created",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::CREATED),
       {"resume a0d1"}},
      {"running",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::RUNNING),
       {"resume a0d1"}},
      {"exited",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::EXITED),
       {"resume a0d1"}},
      {"running, being stopped",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::RUNNING, 77),
       {"finish-stop-at-77 c1", "resume a0d1"}},
      {"created, being stopped",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::CREATED, 5),
       {"finish-stop-at-5 c1", "resume a0d1"}},
      {"exited by its stop",
       Situation().Pod(kReady).Keeper().Container(ContainerRecord::EXITED, 77),
       {"resume a0d1"}},
      {"running in a pod that is being stopped",
       Situation().Pod(kStopped).Keeper().Container(ContainerRecord::RUNNING),
       {"resume a0d1", "stop a0d1"}},
      {"running in a pod that was being made",
       Situation().Pod(kCreating).Keeper().Container(ContainerRecord::RUNNING),
       {"remove a0d1", "resume a0d1"}},
  });
}

TEST(DifferenceTest, ContainersWhoseKeeperIsGone) {
  CheckRows({
      {"creating",
       Situation().Pod(kReady).Container(ContainerRecord::CREATING),
       {"remove-container c1", "stop a0d1"}},
      {"created",
       Situation().Pod(kReady).Container(ContainerRecord::CREATED),
       {"ended c1", "stop a0d1"}},
      {"running",
       Situation().Pod(kReady).Container(ContainerRecord::RUNNING),
       {"ended c1", "stop a0d1"}},
      {"running, being stopped: there is nothing to wait for",
       Situation().Pod(kReady).Container(ContainerRecord::RUNNING, 77),
       {"ended c1", "stop a0d1"}},
      {"exited",
       Situation().Pod(kReady).Container(ContainerRecord::EXITED),
       {"stop a0d1"}},
      {"running in a stopped pod",
       Situation().Pod(kStopped).Container(ContainerRecord::RUNNING),
       {"ended c1"}},
      {"the pid is another's",
       Situation()
           .Pod(kReady)
           .Keeper(kPid, kTicks - 1)
           .Container(ContainerRecord::RUNNING),
       {"ended c1", "orphan-keeper 4711", "stop a0d1"}},
  });
}

TEST(DifferenceTest, PodsBesideEachOther) {
  CheckRows({
      {"one lives, the other does not",
       Situation()
           .Pod(kReady)
           .Keeper()
           .Pod(kReady, true, kPod2, kOther)
           .Container(ContainerRecord::RUNNING, 3)
           .Container(ContainerRecord::RUNNING, 4, kContainer2, kPod2),
       {"ended c2", "finish-stop-at-3 c1", "resume a0d1", "stop a0d2"}},
      {"both live",
       Situation()
           .Pod(kReady)
           .Keeper()
           .Pod(kReady, true, kPod2, kOther)
           .Keeper(kOther),
       {"resume a0d1", "resume a0d2"}},
  });
}

}  // namespace
}  // namespace caisson::recover
