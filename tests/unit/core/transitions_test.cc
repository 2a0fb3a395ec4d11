#include "shim/core/transitions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/unit/core/transitions_fixture.h"

namespace caisson::core {
namespace {

using ::caisson::testing::FullDisk;
using state::v1::ContainerRecord;
using state::v1::PodRecord;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using TransitionsTest = TransitionsFixture;

void Nothing(ContainerFacts& /*facts*/) {}

void NothingOfPod(PodFacts& /*facts*/) {}

TEST_F(TransitionsTest, AChangeIsRecordedSeenAndPublished) {
  const auto container = MakeContainer("c", ContainerRecord::CREATED);
  ASSERT_TRUE(transitions_
                  ->Change(*container, ContainerRecord::RUNNING,
                           [](ContainerFacts& facts) {
                             facts.record.set_started_at(42);
                           })
                  .ok());
  EXPECT_EQ(container->state(), ContainerRecord::RUNNING);
  EXPECT_EQ(container->facts()->record.started_at(), 42);
  const auto record = RecordOf(*container);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->state(), ContainerRecord::RUNNING);
  EXPECT_EQ(record->started_at(), 42);
  v1::ContainerConfig config;
  EXPECT_TRUE(config.ParseFromString(record->config()));
  EXPECT_EQ(config.metadata().name(), "c");
  ASSERT_THAT(history_, SizeIs(1));
  EXPECT_EQ(history_[0].pod_id, container->pod_id());
  EXPECT_EQ(history_[0].container, container->facts());
  EXPECT_EQ(history_[0].pod, nullptr);
  EXPECT_FALSE(history_[0].removed);
}

TEST_F(TransitionsTest, WhatIsPublishedIsSeenAndRecordedAlready) {
  const auto container = MakeContainer("c", ContainerRecord::CREATED);
  int published = 0;
  bus_.Subscribe([&](const Event& event) {
    ++published;
    EXPECT_EQ(container->facts(), event.container);
    EXPECT_EQ(RecordOf(*container)->state(), event.container->record.state());
  });
  // Who waits is woken when it is seen: before it is published.
  container->Watch([&] {
    EXPECT_EQ(RecordOf(*container)->state(), ContainerRecord::EXITED);
    EXPECT_EQ(published, 1);
  });
  EXPECT_TRUE(
      transitions_->Change(*container, ContainerRecord::RUNNING, Nothing).ok());
  transitions_->End(*container, Nothing);
  EXPECT_EQ(published, 2);
}

TEST_F(TransitionsTest, ARefusedChangeLeavesAllAlone) {
  const ContainerRecord::State states[] = {
      ContainerRecord::CREATING, ContainerRecord::CREATED,
      ContainerRecord::RUNNING, ContainerRecord::EXITED};
  for (const ContainerRecord::State from : states) {
    for (const ContainerRecord::State to : states) {
      const auto container =
          MakeContainer("c" + std::to_string(from) + std::to_string(to), from);
      const ContainerFactsPtr before = container->facts();
      history_.clear();
      const absl::Status status = transitions_->Change(
          *container, to,
          [](ContainerFacts& facts) { facts.record.set_pid(99); });
      if (status.ok()) {
        continue;
      }
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_EQ(container->facts(), before) << from << " -> " << to;
      const auto record = RecordOf(*container);
      EXPECT_EQ(record.has_value(), from != ContainerRecord::CREATING);
      EXPECT_EQ(record.has_value() ? record->pid() : 0, 0);
      EXPECT_THAT(history_, IsEmpty());
    }
  }
}

TEST_F(TransitionsTest, AChangeThatCantBeRecordedIsNone) {
  const auto container = MakeContainer("c", ContainerRecord::CREATED);
  const auto pod = MakePod("p", PodRecord::CREATING);
  const ContainerFactsPtr before = container->facts();
  const PodFactsPtr pod_before = pod->facts();
  {
    const FullDisk full;
    EXPECT_FALSE(
        transitions_->Change(*container, ContainerRecord::RUNNING, Nothing)
            .ok());
    EXPECT_FALSE(
        transitions_
            ->Note(*container,
                   [](ContainerFacts& facts) { facts.record.set_kill_at(1); })
            .ok());
    EXPECT_FALSE(
        transitions_->Change(*pod, PodRecord::READY, NothingOfPod).ok());
    EXPECT_FALSE(transitions_->Remove(*container).ok());
    EXPECT_FALSE(transitions_->Remove(*pod).ok());
  }
  EXPECT_EQ(container->facts(), before);
  EXPECT_FALSE(container->is_removed());
  EXPECT_EQ(pod->facts(), pod_before);
  EXPECT_FALSE(pod->is_removed());
  EXPECT_THAT(history_, IsEmpty());
  // And later it can be.
  EXPECT_TRUE(
      transitions_->Change(*container, ContainerRecord::RUNNING, Nothing).ok());
  EXPECT_TRUE(transitions_->Change(*pod, PodRecord::READY, NothingOfPod).ok());
  EXPECT_TRUE(transitions_->Remove(*container).ok());
  EXPECT_TRUE(transitions_->Remove(*pod).ok());
}

TEST_F(TransitionsTest, AnEndThatCantBeRecordedIsOne) {
  const auto container = MakeContainer("c", ContainerRecord::RUNNING);
  const auto pod = MakePod("p", PodRecord::READY);
  const FullDisk full;
  transitions_->End(
      *container, [](ContainerFacts& facts) { facts.record.set_exit_code(7); });
  transitions_->End(*pod);
  EXPECT_EQ(container->state(), ContainerRecord::EXITED);
  EXPECT_EQ(container->facts()->record.exit_code(), 7);
  EXPECT_EQ(pod->state(), PodRecord::STOPPED);
  EXPECT_THAT(history_, SizeIs(2));
}

TEST_F(TransitionsTest, OfTwoEndsTheFirstCounts) {
  const auto container = MakeContainer("c", ContainerRecord::RUNNING);
  const auto end = [&](int code) {
    transitions_->End(*container, [code](ContainerFacts& facts) {
      facts.record.set_exit_code(code);
    });
  };
  end(3);
  end(255);
  EXPECT_EQ(container->facts()->record.exit_code(), 3);
  EXPECT_EQ(RecordOf(*container)->exit_code(), 3);
  EXPECT_THAT(history_, SizeIs(1));
  const auto pod = MakePod("p", PodRecord::READY);
  transitions_->End(*pod);
  transitions_->End(*pod);
  EXPECT_THAT(history_, SizeIs(2));
}

TEST_F(TransitionsTest, OneThatEndsWhileItIsMadeHasNoRecord) {
  const auto container = MakeContainer("c", ContainerRecord::CREATING);
  transitions_->End(*container, Nothing);
  EXPECT_EQ(container->state(), ContainerRecord::EXITED);
  EXPECT_FALSE(RecordOf(*container).has_value());
}

TEST_F(TransitionsTest, NothingOfARemovedOneChanges) {
  const auto container = MakeContainer("c", ContainerRecord::RUNNING);
  const auto pod = MakePod("p", PodRecord::READY);
  ASSERT_TRUE(transitions_->Remove(*container).ok());
  ASSERT_TRUE(transitions_->Remove(*pod).ok());
  ASSERT_THAT(history_, SizeIs(2));
  EXPECT_TRUE(history_[0].removed);
  EXPECT_EQ(history_[0].container, container->facts());
  EXPECT_TRUE(history_[1].removed);
  EXPECT_EQ(history_[1].pod, pod->facts());

  const absl::StatusCode aborted = absl::StatusCode::kAborted;
  EXPECT_EQ(
      transitions_->Change(*container, ContainerRecord::EXITED, Nothing).code(),
      aborted);
  EXPECT_EQ(transitions_->Note(*container, Nothing).code(), aborted);
  EXPECT_EQ(transitions_->Change(*pod, PodRecord::STOPPED, NothingOfPod).code(),
            aborted);
  EXPECT_EQ(transitions_->Note(*pod, NothingOfPod).code(), aborted);
  transitions_->End(*container, Nothing);
  transitions_->End(*pod);
  transitions_->NoteUnrecorded(
      *container, [](ContainerFacts& facts) { facts.record.set_pid(9); });
  EXPECT_EQ(container->state(), ContainerRecord::RUNNING);
  EXPECT_EQ(container->facts()->record.pid(), 0);
  EXPECT_EQ(pod->state(), PodRecord::READY);
  // No record comes back, and a second removal says nothing.
  EXPECT_TRUE(transitions_->Remove(*container).ok());
  EXPECT_TRUE(transitions_->Remove(*pod).ok());
  EXPECT_FALSE(RecordOf(*container).has_value());
  EXPECT_FALSE(RecordOf(*pod).has_value());
  EXPECT_THAT(history_, SizeIs(2));
}

TEST_F(TransitionsTest, NotesChangeFieldsAndSayNothing) {
  const auto container = MakeContainer("c", ContainerRecord::RUNNING);
  ASSERT_TRUE(
      transitions_
          ->Note(*container,
                 [](ContainerFacts& facts) { facts.record.set_kill_at(8); })
          .ok());
  EXPECT_EQ(RecordOf(*container)->kill_at(), 8);
  transitions_->NoteUnrecorded(
      *container, [](ContainerFacts& facts) { facts.record.set_pid(9); });
  EXPECT_EQ(container->facts()->record.pid(), 9);
  EXPECT_EQ(RecordOf(*container)->pid(), 0);
  EXPECT_EQ(container->state(), ContainerRecord::RUNNING);
  EXPECT_THAT(history_, IsEmpty());
  // What memory alone had is written with the next record.
  transitions_->End(*container, Nothing);
  EXPECT_EQ(RecordOf(*container)->pid(), 9);
}

TEST_F(TransitionsTest, FactsOfBeforeStayAsTheyWere) {
  const auto container = MakeContainer("c", ContainerRecord::RUNNING);
  const ContainerFactsPtr before = container->facts();
  transitions_->End(*container, Nothing);
  EXPECT_EQ(before->record.state(), ContainerRecord::RUNNING);
  EXPECT_NE(container->facts(), before);
}

}  // namespace
}  // namespace caisson::core
