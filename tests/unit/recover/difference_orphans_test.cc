#include <gtest/gtest.h>

#include "tests/unit/recover/situation.h"

// What is there without a record, and what only looks so.
namespace caisson::recover {
namespace {

constexpr auto kReady = PodRecord::READY;

TEST(DifferenceTest, WhatARecordOwnsStays) {
  CheckRows({
      {"all that a pod with a container has",
       Situation()
           .Pod(kReady, true)
           .Keeper()
           .Container(ContainerRecord::RUNNING)
           .Cgroup("caisson/" + kPod)
           .Cgroup("caisson/" + kPod + "/" + kContainer)
           .PodFiles(kPod)
           .ContainerFiles(kContainer)
           .Pin(kPod)
           .Attachment(kPod)
           .Lease(kPod),
       {"resume a0d1"}},
      {"a stopped pod keeps its ids and files until it is removed",
       Situation()
           .Pod(PodRecord::STOPPED)
           .Container(ContainerRecord::EXITED)
           .Cgroup("caisson/" + kPod)
           .PodFiles(kPod)
           .ContainerFiles(kContainer)
           .Lease(kPod),
       {}},
      {"a kubelet's cgroup of the pod, whose name is no id",
       Situation().Pod(kReady).Keeper().Cgroup("kubepods/pod-x"),
       {"resume a0d1"}},
      {"a scope's",
       Situation().Pod(kReady).Keeper().Cgroup("kubepods.slice/caisson-" +
                                               kPod + ".scope/pod"),
       {"resume a0d1"}},
  });
}

TEST(DifferenceTest, OrphansOfEachKind) {
  CheckRows({
      {"keeper", Situation().Keeper(), {"orphan-keeper 4711"}},
      {"cgroup",
       Situation().Cgroup("caisson/" + kGone, kGone),
       {"orphan-cgroup caisson/" + kGone}},
      {"a kubelet's cgroup with a pod's mark",
       Situation().Cgroup("kubepods/pod-x", kGone),
       {"orphan-cgroup kubepods/pod-x"}},
      {"container record",
       Situation().Container(ContainerRecord::RUNNING, 0, kContainer, kGone),
       {"orphan-container c1"}},
      {"attachment", Situation().Attachment(kGone), {"orphan-attachment 90e"}},
      {"network pin", Situation().Pin(kGone), {"orphan-pin 90e"}},
      {"pod's files", Situation().PodFiles(kGone), {"orphan-pod-files 90e"}},
      {"container's files",
       Situation().ContainerFiles(kLost),
       {"orphan-container-files 105"}},
      {"lease", Situation().Lease(kGone), {"orphan-lease 90e"}},
      {"two leases of one",
       Situation().Lease(kGone).Lease(kGone),
       {"orphan-lease 90e"}},
      {"what a damaged record was of",
       Situation().Damaged(kGone, kLost),
       {"orphan-damaged 105", "orphan-damaged 90e"}},
  });
}

TEST(DifferenceTest, ALostPodWithAllThatItHad) {
  CheckRows({
      {"its record is damaged, its containers' are not",
       Situation()
           .Keeper()
           .Container(ContainerRecord::CREATED, 0, kContainer, kGone)
           .Container(ContainerRecord::EXITED, 0, kContainer2, kGone)
           .Cgroup("caisson/" + kGone, kGone)
           .PodFiles(kGone)
           .ContainerFiles(kContainer)
           .ContainerFiles(kContainer2)
           .Pin(kGone)
           .Attachment(kGone)
           .Lease(kGone)
           .Damaged(kGone, kLost),
       {"orphan-attachment 90e", "orphan-cgroup caisson/" + kGone,
        "orphan-container c1", "orphan-container c2",
        "orphan-container-files c1", "orphan-container-files c2",
        "orphan-damaged 105", "orphan-damaged 90e", "orphan-keeper 4711",
        "orphan-lease 90e", "orphan-pin 90e", "orphan-pod-files 90e"}},
      {"the whole database was set aside",
       Situation()
           .Keeper(1000)
           .Keeper(1001)
           .Cgroup("c/" + kPod)
           .Cgroup("c/" + kPod2, kPod2),
       {"orphan-cgroup c/" + kPod, "orphan-cgroup c/" + kPod2,
        "orphan-keeper 1000", "orphan-keeper 1001"}},
  });
}

TEST(DifferenceTest, ContainersThatWereBeingMade) {
  const std::string below = "caisson/" + kPod + "/" + kLost;
  CheckRows({
      {"a cgroup below a known pod, without a record",
       Situation().Pod(kReady).Keeper().Cgroup(below),
       {"orphan-cgroup " + below, "resume a0d1"}},
      {"below a kubelet's cgroup",
       Situation().Pod(kReady).Keeper().Cgroup("kubepods/pod-x/" + kLost),
       {"orphan-cgroup kubepods/pod-x/" + kLost, "resume a0d1"}},
      {"its files",
       Situation().Pod(kReady).Keeper().ContainerFiles(kLost),
       {"orphan-container-files 105", "resume a0d1"}},
      {"beside one that has a record",
       Situation()
           .Pod(kReady)
           .Keeper()
           .Container(ContainerRecord::RUNNING)
           .Cgroup("kubepods/pod-x/" + kContainer)
           .Cgroup("kubepods/pod-x/" + kLost)
           .ContainerFiles(kContainer)
           .ContainerFiles(kLost),
       {"orphan-cgroup kubepods/pod-x/" + kLost, "orphan-container-files 105",
        "resume a0d1"}},
      {"a container's cgroup whose mark is of a pod that is gone",
       Situation().Pod(kReady).Keeper().Cgroup("kubepods/pod-x/" + kLost,
                                               kGone),
       {"orphan-cgroup kubepods/pod-x/" + kLost, "resume a0d1"}},
  });
}

TEST(DifferenceTest, CgroupsOfOthersBelowOneOfOurs) {
  // A container with a writable /sys/fs/cgroup names cgroups as it likes, but
  // can't mark them: what FindMarked() tells is ours.
  CheckRows({
      {"a name like an id's, too short",
       Situation().Pod(kReady).Keeper().Cgroup("caisson/" + kPod + "/abc"),
       {"resume a0d1"}},
      {"a name like an id's, with capitals",
       Situation().Pod(kReady).Keeper().Cgroup("caisson/" +
                                               std::string(64, 'A')),
       {"resume a0d1"}},
      {"one that is at the top",
       Situation().Pod(kReady).Keeper().Cgroup(kPod),
       {"resume a0d1"}},
  });
}

TEST(DifferenceTest, IdsOfOneKindAreNotThoseOfAnother) {
  CheckRows({
      {"a container's directory with a pod's id",
       Situation().Pod(kReady).Keeper().ContainerFiles(kPod),
       {"orphan-container-files a0d1", "resume a0d1"}},
      {"a pod's directory with a container's id",
       Situation()
           .Pod(kReady)
           .Keeper()
           .Container(ContainerRecord::RUNNING)
           .PodFiles(kContainer)
           .Pin(kContainer)
           .Attachment(kContainer)
           .Lease(kContainer),
       {"orphan-attachment c1", "orphan-lease c1", "orphan-pin c1",
        "orphan-pod-files c1", "resume a0d1"}},
  });
}

}  // namespace
}  // namespace caisson::recover
