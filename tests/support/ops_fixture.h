#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/test_daemon.h"

namespace caisson::testing {

using state::v1::ContainerRecord;
using state::v1::PodRecord;

// A daemon on a node of its own, and what tests make of it.
class OpsFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
    node_ = std::make_unique<TestNode>();
    daemon_ = &TestDaemon::Start(*node_);
  }

  std::string MakePod(const std::string& name, bool own_network = true) {
    const TestDaemon::Result pod = daemon_->RunPod(name, own_network);
    EXPECT_TRUE(pod.ok()) << pod.status();
    return pod.value_or("");
  }

  // In that state; the pod is its name's.
  std::string MakeContainer(const std::string& pod, const std::string& name,
                            ContainerRecord::State state) {
    const TestDaemon::Result made = daemon_->CreateContainer(pod, name);
    EXPECT_TRUE(made.ok()) << made.status();
    const std::string id = made.value_or("");
    if (made.ok() && state != ContainerRecord::CREATED) {
      EXPECT_TRUE(daemon_->StartContainer(id).ok());
    }
    if (made.ok() && state == ContainerRecord::EXITED) {
      daemon_->ExitContainer(id, 0);
      EXPECT_TRUE(AwaitState(id, ContainerRecord::EXITED));
    }
    return id;
  }

  bool AwaitState(const std::string& id, ContainerRecord::State state) {
    return Await([&] { return daemon_->Container(id)->state() == state; });
  }

  // Stop, remove, and nothing is left.
  void ExpectEndsClean(const std::string& pod) {
    const absl::Status stopped = daemon_->StopPod(pod);
    EXPECT_TRUE(stopped.ok()) << stopped;
    const absl::Status removed = daemon_->RemovePod(pod);
    EXPECT_TRUE(removed.ok()) << removed;
  }

  void ExpectNothingLeft() {
    EXPECT_TRUE(Await([this] { return daemon_->Leftovers().empty(); }))
        << ::testing::PrintToString(daemon_->Leftovers());
  }

  std::unique_ptr<TestNode> node_;
  TestDaemon* daemon_ = nullptr;
};

// Runs the tasks side by side: most of them wait.
inline void SideBySide(const std::vector<std::function<void()>>& tasks) {
  std::vector<std::thread> threads;
  for (const std::function<void()>& task : tasks) {
    threads.emplace_back(task);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace caisson::testing
