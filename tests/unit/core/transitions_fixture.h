#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "shim/core/transitions.h"
#include "tests/support/machine.h"
#include "tests/support/objects.h"
#include "tests/support/store_access.h"

namespace caisson::core {

// A store on a disk, and a bus whose events are kept.
class TransitionsFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::Store::Open(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    transitions_ = std::make_unique<Transitions>(*store_, bus_);
    bus_.Subscribe([this](const Event& event) { history_.push_back(event); });
  }

  std::unique_ptr<Container> MakeContainer(
      const std::string& begin, state::v1::ContainerRecord::State state) {
    ContainerFacts facts = testing::ContainerFactsOf(
        testing::IdOf(begin), testing::IdOf("p"), begin, state);
    if (state != state::v1::ContainerRecord::CREATING) {
      EXPECT_TRUE(store_->PutContainer(facts.record).ok());
    }
    return std::make_unique<Container>(std::move(facts));
  }

  std::unique_ptr<Pod> MakePod(const std::string& begin,
                               state::v1::PodRecord::State state) {
    PodFacts facts = testing::PodFactsOf(testing::IdOf(begin), begin, state);
    EXPECT_TRUE(store_->AddPod(facts.record, {}).ok());
    return std::make_unique<Pod>(std::move(facts), pool_);
  }

  std::optional<state::v1::ContainerRecord> RecordOf(
      const Container& container) {
    return testing::FindContainerRecord(*store_, container.id());
  }

  std::optional<state::v1::PodRecord> RecordOf(const Pod& pod) {
    return testing::FindPodRecord(*store_, pod.id());
  }

  const testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/pods.db";
  ThreadPool pool_{"test", 1};
  std::unique_ptr<store::Store> store_;
  EventBus bus_;
  std::unique_ptr<Transitions> transitions_;
  std::vector<Event> history_;  // written under the bus's lock
};

}  // namespace caisson::core
