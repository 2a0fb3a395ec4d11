#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shim/core/lifecycle.h"
#include "tests/unit/core/transitions_fixture.h"

namespace caisson::core {
namespace {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

constexpr unsigned kThreads = 8;

class TransitionsThreadsTest : public TransitionsFixture {
 protected:
  // `task` on 8 threads at once, each with numbers of its own.
  static void OnThreads(const std::function<void(std::mt19937&)>& task) {
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < kThreads; ++seed) {
      threads.emplace_back([&task, seed] {
        std::mt19937 random(seed);
        task(random);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  // Each state on the bus follows from the one before, and nothing follows a
  // removal.
  void CheckHistory() {
    std::map<std::string, ContainerRecord::State> states;
    std::map<std::string, bool> removed;
    for (const Event& event : history_) {
      ASSERT_NE(event.container, nullptr);
      const ContainerRecord& record = event.container->record;
      ASSERT_FALSE(removed[record.id()]);
      removed[record.id()] = event.removed;
      if (!event.removed) {
        const auto before = states.find(record.id());
        ASSERT_TRUE(before == states.end() ||
                    MayFollow(before->second, record.state()));
        states[record.id()] = record.state();
      }
    }
  }
};

TEST_F(TransitionsThreadsTest, HistoriesAreValidWhateverIsTried) {
  std::vector<std::unique_ptr<Container>> containers;
  for (int i = 0; i < 40; ++i) {
    containers.push_back(
        MakeContainer("c" + std::to_string(i) + "x", ContainerRecord::CREATED));
  }
  OnThreads([&](std::mt19937& random) {
    for (int i = 0; i < 300; ++i) {
      Container& container = *containers[random() % containers.size()];
      const auto change = [&](ContainerFacts& facts) {
        facts.record.set_pid(static_cast<int>(random() % 1000));
      };
      switch (random() % 8) {
        case 0:
          transitions_->End(container, change);
          break;
        case 1:
          if (random() % 8 == 0) {
            EXPECT_TRUE(transitions_->Remove(container).ok());
          }
          break;
        case 2:
          transitions_->NoteUnrecorded(container, change);
          break;
        default:
          transitions_
              ->Change(container,
                       static_cast<ContainerRecord::State>(random() % 4),
                       change)
              .IgnoreError();
      }
    }
  });
  CheckHistory();
  // Disk and memory say the same at the end.
  for (const auto& container : containers) {
    const auto record = RecordOf(*container);
    EXPECT_EQ(record.has_value(), !container->is_removed());
    if (record.has_value()) {
      EXPECT_EQ(record->state(), container->state());
    }
  }
}

TEST_F(TransitionsThreadsTest, OfManyEndsOneCounts) {
  for (int round = 0; round < 20; ++round) {
    const auto container = MakeContainer("r" + std::to_string(round) + "x",
                                         ContainerRecord::RUNNING);
    history_.clear();
    std::atomic<int> next = 1;
    OnThreads([&](std::mt19937&) {
      transitions_->End(*container, [&](ContainerFacts& facts) {
        facts.record.set_exit_code(next++);
      });
    });
    ASSERT_EQ(history_.size(), 1u);
    EXPECT_EQ(history_[0].container->record.exit_code(),
              container->facts()->record.exit_code());
    EXPECT_EQ(RecordOf(*container)->exit_code(),
              container->facts()->record.exit_code());
  }
}

TEST_F(TransitionsThreadsTest, WhoSeesAStateFindsItsRecord) {
  for (int round = 0; round < 50; ++round) {
    const auto container = MakeContainer("s" + std::to_string(round) + "x",
                                         ContainerRecord::CREATED);
    std::thread changer([&] {
      EXPECT_TRUE(transitions_
                      ->Change(*container, ContainerRecord::RUNNING,
                               [](ContainerFacts&) {})
                      .ok());
    });
    while (container->state() == ContainerRecord::CREATED) {
      std::this_thread::yield();
    }
    EXPECT_EQ(RecordOf(*container)->state(), ContainerRecord::RUNNING);
    changer.join();
  }
}

// The lists of the CRI read configurations while updates change them.
TEST_F(TransitionsThreadsTest, ReadersKeepWhatTheyHaveRead) {
  const auto pod = MakePod("p", PodRecord::READY);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; i < 500; ++i) {
      auto config = std::make_shared<v1::PodSandboxConfig>();
      config->mutable_metadata()->set_name(std::string(100, 'a'));
      (*config->mutable_labels())["n"] = std::to_string(i);
      transitions_->NoteUnrecorded(
          *pod, [&](PodFacts& facts) { facts.config = std::move(config); });
    }
    stop = true;
  });
  std::thread reader([&] {
    size_t read = 0;
    // Once at least: the writer may be done before this begins.
    do {
      const PodFactsPtr facts = pod->facts();
      read += facts->config->SerializeAsString().size();
    } while (!stop);
    EXPECT_GT(read, 0u);
  });
  writer.join();
  reader.join();
}

}  // namespace
}  // namespace caisson::core
