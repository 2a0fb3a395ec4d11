#include "absl/time/clock.h"
#include "tests/support/ops_fixture.h"
#include "tests/support/store_access.h"

// Stops with a grace period.
namespace caisson::testing {
namespace {

class StopTest : public OpsFixture {
 protected:
  void SetUp() override {
    OpsFixture::SetUp();
    if (daemon_ != nullptr) {
      pod_ = MakePod("pod", false);
    }
  }

  void TearDown() override {
    if (daemon_ != nullptr) {
      ExpectEndsClean(pod_);
      ExpectNothingLeft();
    }
  }

  FakeKeeperWorld& world() { return daemon_->fake_keepers.world(); }

  // When the record says that the container is killed; 0: it doesn't.
  int64_t KillAt(const std::string& id) {
    const auto record = FindContainerRecord(*daemon_->store, id);
    return record.has_value() ? record->kill_at() : 0;
  }

  std::string pod_;
};

TEST_F(StopTest, WhatEndsInItsGraceIsNotKilled) {
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  const absl::Time before = absl::Now();
  EXPECT_TRUE(daemon_->StopContainer(id, absl::Minutes(5)).ok());
  EXPECT_LT(absl::Now() - before, absl::Minutes(1));
  const auto facts = daemon_->Container(id)->facts();
  EXPECT_EQ(facts->record.state(), ContainerRecord::EXITED);
  EXPECT_EQ(facts->record.exit_code(), 143);  // by SIGTERM
}

TEST_F(StopTest, WhatDoesNotIsKilledAfterIt) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  const absl::Time before = absl::Now();
  EXPECT_TRUE(daemon_->StopContainer(id, absl::Milliseconds(400)).ok());
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(400));
  const auto facts = daemon_->Container(id)->facts();
  EXPECT_EQ(facts->record.state(), ContainerRecord::EXITED);
  EXPECT_EQ(facts->record.exit_code(), 137);
}

TEST_F(StopTest, ALaterStopBringsTheKillForward) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  const absl::Time before = absl::Now();
  SideBySide(
      {[&] { EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok()); },
       [&] {
         ASSERT_TRUE(Await([&] { return KillAt(id) != 0; }));
         EXPECT_TRUE(daemon_->StopContainer(id).ok());
       }});
  EXPECT_LT(absl::Now() - before, absl::Minutes(1));
  EXPECT_EQ(world().faults.calls("signal_container"), 1);
}

TEST_F(StopTest, AStopOfThePodBringsItForward) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  SideBySide(
      {[&] { EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok()); },
       [&] {
         ASSERT_TRUE(Await([&] { return KillAt(id) != 0; }));
         EXPECT_TRUE(daemon_->StopPod(pod_).ok());
       }});
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::EXITED);
}

TEST_F(StopTest, TheMomentOfTheKillIsRecorded) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  SideBySide(
      {[&] { EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok()); },
       [&] {
         ASSERT_TRUE(Await([&] { return KillAt(id) != 0; }));
         const absl::Duration left =
             absl::FromUnixNanos(KillAt(id)) - absl::Now();
         EXPECT_LE(left, absl::Hours(1));
         EXPECT_GT(left, absl::Minutes(50));
         EXPECT_TRUE(daemon_->StopContainer(id).ok());
       }});
}

TEST_F(StopTest, UpdatesDoNotWaitForIt) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  SideBySide(
      {[&] { EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok()); },
       [&] {
         ASSERT_TRUE(Await([&] { return KillAt(id) != 0; }));
         EXPECT_TRUE(daemon_->Update(id).ok());
         EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::RUNNING);
         EXPECT_TRUE(daemon_->StopContainer(id).ok());
       }});
}

TEST_F(StopTest, NoThreadWaitsOutAGrace) {
  world().deaf = true;
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(
        MakeContainer(pod_, "c" + std::to_string(i), ContainerRecord::RUNNING));
  }
  std::vector<std::function<void()>> tasks;
  for (const std::string& id : ids) {
    tasks.push_back([this, id] {
      EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok());
    });
  }
  tasks.push_back([&] {
    for (const std::string& id : ids) {
      ASSERT_TRUE(Await([&] { return KillAt(id) != 0; }));
    }
    // More than the lane has threads: this one gets one all the same.
    const std::string other =
        MakeContainer(pod_, "other", ContainerRecord::RUNNING);
    EXPECT_TRUE(daemon_->StopContainer(other).ok());
    EXPECT_TRUE(daemon_->StopPod(pod_).ok());
  });
  SideBySide(tasks);
}

TEST_F(StopTest, OneWhoseEndNobodyTellsIsKilledByItsCgroup) {
  world().mute = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  EXPECT_TRUE(daemon_->StopContainer(id).ok());
  const auto facts = daemon_->Container(id)->facts();
  EXPECT_EQ(facts->record.state(), ContainerRecord::EXITED);
  EXPECT_EQ(facts->record.exit_code(), 137);
}

TEST_F(StopTest, AKeeperThatAnswersNothingIsGonePast) {
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  world().faults.Set("signal_container", Fault::kStop);
  // What it is asked, it never passes on: the grace is of no use.
  const absl::Time before = absl::Now();
  EXPECT_TRUE(daemon_->StopContainer(id, absl::Hours(1)).ok());
  EXPECT_LT(absl::Now() - before, absl::Minutes(1));
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::EXITED);
}

TEST_F(StopTest, ManyStopsOfOneAskOnce) {
  world().deaf = true;
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  std::vector<std::function<void()>> tasks;
  for (int i = 0; i < 8; ++i) {
    tasks.push_back([&] {
      EXPECT_TRUE(daemon_->StopContainer(id, absl::Milliseconds(700)).ok());
    });
  }
  SideBySide(tasks);
  EXPECT_LE(world().faults.calls("signal_container"), 8);
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::EXITED);
}

}  // namespace
}  // namespace caisson::testing
