#include "shim/core/container.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "shim/core/pod.h"
#include "shim/core/transitions.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"
#include "tests/support/objects.h"

namespace caisson::core {
namespace {

using ::caisson::testing::ContainerFactsOf;
using ::caisson::testing::IdOf;
using ::caisson::testing::PodFactsOf;
using state::v1::ContainerRecord;
using state::v1::PodRecord;

class ContainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::Store::Open(directory_.path() + "/pods.db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    transitions_ = std::make_unique<Transitions>(*store_, events_);
  }

  void End() {
    transitions_->End(container_, [](ContainerFacts&) {});
  }

  const testing::TemporaryDirectory directory_;
  std::unique_ptr<store::Store> store_;
  EventBus events_;
  std::unique_ptr<Transitions> transitions_;
  Container container_{
      ContainerFactsOf(IdOf("c"), IdOf("p"), "main", ContainerRecord::RUNNING)};
};

TEST_F(ContainerTest, AwaitExitEndsByItsDeadline) {
  EXPECT_FALSE(container_.AwaitExit(Deadline()));
  EXPECT_FALSE(container_.AwaitExit(Deadline::After(absl::Milliseconds(30))));
  End();
  EXPECT_TRUE(container_.AwaitExit(Deadline()));
}

TEST_F(ContainerTest, AwaitExitIsWokenByTheEnd) {
  std::thread ender([this] { End(); });
  EXPECT_TRUE(container_.AwaitExit(Deadline::After(absl::Minutes(1))));
  ender.join();
}

TEST_F(ContainerTest, AwaitCreationAwaitsWhoeverMakesIt) {
  Container fresh(ContainerFactsOf(IdOf("d"), IdOf("p"), "other"));
  EXPECT_TRUE(fresh.AwaitCreation(Deadline()));
  fresh.BeginCreation();
  EXPECT_FALSE(fresh.AwaitCreation(Deadline()));
  EXPECT_FALSE(fresh.AwaitCreation(Deadline::After(absl::Milliseconds(30))));
  // Its end is not that of its making.
  transitions_->End(fresh, [](ContainerFacts&) {});
  EXPECT_FALSE(fresh.AwaitCreation(Deadline()));
  std::thread maker([&] { fresh.EndCreation(); });
  EXPECT_TRUE(fresh.AwaitCreation(Deadline::After(absl::Minutes(1))));
  maker.join();
}

TEST_F(ContainerTest, ARemovalEndsTheWaitForTheEnd) {
  Container fresh(ContainerFactsOf(IdOf("d"), IdOf("p"), "other"));
  std::thread remover([&] { EXPECT_TRUE(transitions_->Remove(fresh).ok()); });
  EXPECT_TRUE(fresh.AwaitExit(Deadline::After(absl::Minutes(1))));
  remover.join();
}

TEST_F(ContainerTest, TheEarliestStopCounts) {
  EXPECT_TRUE(container_.stop_by().is_never());
  const Deadline late = Deadline::After(absl::Minutes(2));
  const Deadline soon = Deadline::After(absl::Minutes(1));
  container_.StopBy(late);
  EXPECT_EQ(container_.stop_by(), late);
  container_.StopBy(soon);
  EXPECT_EQ(container_.stop_by(), soon);
  container_.StopBy(late);
  EXPECT_EQ(container_.stop_by(), soon);
}

TEST_F(ContainerTest, WatchersAreWokenOnceByAStopThatComesForward) {
  int woken = 0;
  container_.StopBy(Deadline::After(absl::Minutes(2)));
  container_.Watch([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  container_.StopBy(Deadline::After(absl::Minutes(3)));
  EXPECT_EQ(woken, 0);
  container_.StopBy(Deadline::After(absl::Minutes(1)));
  EXPECT_EQ(woken, 1);
  container_.StopBy(Deadline());
  End();
  EXPECT_EQ(woken, 1);
}

TEST_F(ContainerTest, WatchersAreWokenByTheEnd) {
  int woken = 0;
  container_.Watch([&] { ++woken; });
  container_.Watch([&] { ++woken; });
  transitions_->NoteUnrecorded(
      container_, [](ContainerFacts& facts) { facts.record.set_pid(5); });
  EXPECT_EQ(woken, 0);
  End();
  EXPECT_EQ(woken, 2);
  // And right away afterwards.
  container_.Watch([&] { ++woken; });
  EXPECT_EQ(woken, 3);
}

TEST_F(ContainerTest, WatchersAreWokenByTheRemoval) {
  int woken = 0;
  container_.Watch([&] { ++woken; });
  EXPECT_TRUE(transitions_->Remove(container_).ok());
  EXPECT_EQ(woken, 1);
  container_.Watch([&] { ++woken; });
  EXPECT_EQ(woken, 2);
}

TEST_F(ContainerTest, AWatcherMayWatchAgain) {
  int woken = 0;
  std::function<void()> again = [&] {
    ++woken;
    if (woken < 3) {
      container_.Watch(again);
    }
  };
  container_.Watch(again);
  container_.StopBy(Deadline::After(absl::Minutes(1)));
  EXPECT_EQ(woken, 1);
  container_.StopBy(Deadline());
  EXPECT_EQ(woken, 2);
  End();
  EXPECT_EQ(woken, 3);
}

TEST_F(ContainerTest, NoWatcherIsForgottenWhileItEnds) {
  for (int round = 0; round < 200; ++round) {
    Container container(
        ContainerFactsOf(IdOf("e"), IdOf("p"), "x", ContainerRecord::RUNNING));
    std::atomic<int> woken = 0;
    std::thread watcher([&] {
      for (int i = 0; i < 10; ++i) {
        container.Watch([&] { ++woken; });
      }
    });
    transitions_->End(container, [](ContainerFacts&) {});
    watcher.join();
    ASSERT_TRUE(testing::Await([&] { return woken == 10; }));
  }
}

TEST_F(ContainerTest, AnEndIsKeptWhileItStarts) {
  const Exit exit{3, 77};
  EXPECT_FALSE(container_.KeepExit(exit));
  container_.BeginStart();
  EXPECT_TRUE(container_.KeepExit(exit));
  const std::optional<Exit> kept = container_.EndStart();
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->code, 3);
  EXPECT_EQ(kept->finished_at, 77);
  EXPECT_FALSE(container_.KeepExit(exit));
  container_.BeginStart();
  EXPECT_FALSE(container_.EndStart().has_value());
}

TEST(PodTest, ItsKeeperIsUsableUntilItStops) {
  const testing::TemporaryDirectory directory;
  auto store = store::Store::Open(directory.path() + "/pods.db");
  ASSERT_TRUE(store.ok());
  EventBus events;
  Transitions transitions(**store, events);
  ThreadPool pool("test", 1);
  Pod pod(PodFactsOf(IdOf("p"), "one", PodRecord::CREATING), pool);
  const auto refused = [&] {
    return std::string(pod.UsableKeeper().status().message());
  };
  EXPECT_EQ(pod.UsableKeeper().status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused().find("creating"), std::string::npos) << refused();
  ASSERT_TRUE((*store)->AddPod(pod.facts()->record, {}).ok());
  ASSERT_TRUE(transitions.Change(pod, PodRecord::READY, [](PodFacts&) {}).ok());
  EXPECT_NE(refused().find("without its keeper"), std::string::npos)
      << refused();
  transitions.End(pod);
  EXPECT_NE(refused().find("not ready"), std::string::npos) << refused();
}

}  // namespace
}  // namespace caisson::core
