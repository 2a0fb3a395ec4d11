#include <signal.h>

#include <fstream>

#include "absl/time/clock.h"
#include "tests/support/daemon_process.h"
#include "tests/support/ops_fixture.h"
#include "tests/support/store_access.h"

// A daemon ends, something happens, and the next one takes up what is there.
namespace caisson::testing {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
    node_ = std::make_unique<TestNode>();
  }

  // A daemon that ends without a word.
  void First(const std::function<void(TestDaemon&)>& life) {
    ASSERT_EQ(InProcess([&] {
                life(TestDaemon::Start(*node_));
                return 0;
              }),
              0);
  }

  // One that takes up what is there, and at last removes all of it.
  void Next(const std::function<void(TestDaemon&)>& before,
            const std::function<void(TestDaemon&)>& after) {
    EXPECT_EQ(InProcess([&] {
                TestDaemon& daemon = TestDaemon::Start(*node_);
                before(daemon);
                const absl::Time begin = absl::Now();
                const absl::Status recovered = daemon.Recover();
                EXPECT_TRUE(recovered.ok()) << recovered;
                EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
                after(daemon);
                RemoveAll(daemon);
                return 0;
              }),
              0);
    EXPECT_THAT(node_->Leftovers(), ::testing::IsEmpty());
  }

  void Next(const std::function<void(TestDaemon&)>& after) {
    Next([](TestDaemon&) {}, after);
  }

  static void RemoveAll(TestDaemon& daemon) {
    for (const core::PodPtr& pod : daemon.registry.Pods()) {
      const absl::Status removed = daemon.RemovePod(pod->id());
      EXPECT_TRUE(removed.ok()) << removed;
    }
    EXPECT_TRUE(Await([&] { return daemon.Leftovers().empty(); }))
        << ::testing::PrintToString(daemon.Leftovers());
  }

  // A pod with one container that runs.
  static void MakeRunning(TestDaemon& daemon) {
    const std::string pod = daemon.RunPod("pod").value_or("");
    const std::string id = daemon.CreateContainer(pod, "main").value_or("");
    EXPECT_TRUE(daemon.StartContainer(id).ok());
  }

  static core::PodPtr PodOf(TestDaemon& daemon) {
    EXPECT_EQ(daemon.registry.Pods().size(), 1u);
    return daemon.registry.Pods()[0];
  }

  static core::ContainerPtr ContainerOf(TestDaemon& daemon) {
    EXPECT_EQ(daemon.registry.Containers().size(), 1u);
    return daemon.registry.Containers()[0];
  }

  std::unique_ptr<TestNode> node_;
};

TEST_F(RecoveryTest, WhatRunsGoesOn) {
  First(MakeRunning);
  Next([](TestDaemon& daemon) {
    EXPECT_EQ(PodOf(daemon)->state(), PodRecord::READY);
    EXPECT_EQ(ContainerOf(daemon)->state(), ContainerRecord::RUNNING);
    EXPECT_EQ(daemon.images.holds(), 1);
    const std::string id = ContainerOf(daemon)->id();
    EXPECT_EQ(daemon.Exec(id, {"/bin/true"})->exit_code, 0);
    daemon.ExitContainer(id, 9);
    EXPECT_TRUE(
        ContainerOf(daemon)->AwaitExit(Deadline::After(absl::Seconds(20))));
    EXPECT_EQ(ContainerOf(daemon)->facts()->record.exit_code(), 9);
  });
}

TEST_F(RecoveryTest, AReboot) {
  First(MakeRunning);
  node_->Reboot();
  Next([](TestDaemon& daemon) {
    EXPECT_EQ(PodOf(daemon)->state(), PodRecord::STOPPED);
    EXPECT_EQ(ContainerOf(daemon)->state(), ContainerRecord::EXITED);
    EXPECT_EQ(ContainerOf(daemon)->facts()->record.exit_code(), 255);
    // The plugins hear of it, without anybody's asking.
    EXPECT_TRUE(Await([&] { return daemon.cni.Addresses().empty(); }));
    // Its name is taken until it is removed; others are made.
    const TestDaemon::Result other = daemon.RunPod("other");
    EXPECT_TRUE(other.ok()) << other.status();
  });
}

TEST_F(RecoveryTest, AnEndThatNobodyHeard) {
  First(MakeRunning);
  for (const int pid : node_->Processes()) {
    const std::string group =
        ReadFile("/proc/" + std::to_string(pid) + "/cgroup");
    if (group.find("/pods/") != std::string::npos) {
      kill(pid, SIGKILL);
    }
  }
  Next([](TestDaemon& daemon) {
    EXPECT_TRUE(
        ContainerOf(daemon)->AwaitExit(Deadline::After(absl::Seconds(20))));
    EXPECT_EQ(ContainerOf(daemon)->facts()->record.exit_code(), 137);
    EXPECT_EQ(PodOf(daemon)->state(), PodRecord::READY);
  });
}

TEST_F(RecoveryTest, AKeeperThatDiedMeanwhile) {
  First(MakeRunning);
  for (const int pid : node_->Processes()) {
    const std::string group =
        ReadFile("/proc/" + std::to_string(pid) + "/cgroup");
    if (group.find("/keepers") != std::string::npos) {
      kill(pid, SIGKILL);
    }
  }
  Next([](TestDaemon& daemon) {
    EXPECT_EQ(PodOf(daemon)->state(), PodRecord::STOPPED);
    EXPECT_EQ(ContainerOf(daemon)->state(), ContainerRecord::EXITED);
    EXPECT_TRUE(Await([&] { return daemon.cni.Addresses().empty(); }));
    EXPECT_EQ(daemon.cni.late_deletes(), 0);
  });
}

TEST_F(RecoveryTest, AStopThatWasUnderWay) {
  First([](TestDaemon& daemon) {
    MakeRunning(daemon);
    daemon.fake_keepers.world().deaf = true;
    const core::ContainerPtr container = ContainerOf(daemon);
    std::thread stop([&] {
      daemon.StopContainer(container->id(), absl::Seconds(1)).IgnoreError();
    });
    stop.detach();
    EXPECT_TRUE(
        Await([&] { return container->facts()->record.kill_at() != 0; }));
    fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  });
  Next([](TestDaemon& daemon) { daemon.fake_keepers.world().deaf = true; },
       [](TestDaemon& daemon) {
         EXPECT_TRUE(ContainerOf(daemon)->AwaitExit(
             Deadline::After(absl::Seconds(30))));
         EXPECT_EQ(ContainerOf(daemon)->facts()->record.exit_code(), 137);
       });
}

TEST_F(RecoveryTest, AKeeperThatAnswersNothingHoldsNobodyUp) {
  First(MakeRunning);
  Next(
      [](TestDaemon& daemon) {
        daemon.fake_keepers.world().faults.Set("describe", Fault::kStop);
      },
      [](TestDaemon& daemon) {
        EXPECT_EQ(PodOf(daemon)->state(), PodRecord::READY);
        const TestDaemon::Result other = daemon.RunPod("other");
        EXPECT_TRUE(other.ok()) << other.status();
      });
}

TEST_F(RecoveryTest, ADelThatFailsIsTriedAgain) {
  First(MakeRunning);
  node_->Reboot();
  Next(
      [](TestDaemon& daemon) {
        daemon.cni.faults.Set("delete", Fault::kRefuse, 2);
      },
      [](TestDaemon& daemon) {
        EXPECT_TRUE(Await([&] { return daemon.cni.Addresses().empty(); }));
        EXPECT_TRUE(
            Await([&] { return daemon.detach_queue.Describe().empty(); }));
      });
}

// What is left when records are lost: processes, networks, files and ids.
TEST_F(RecoveryTest, ADamagedRecord) {
  First(MakeRunning);
  RunSql(node_->database(), "UPDATE pods SET record = x'ff'");
  Next([](TestDaemon& daemon) {
    EXPECT_TRUE(daemon.registry.Pods().empty());
    EXPECT_TRUE(Await([&] { return daemon.Leftovers().empty(); }))
        << ::testing::PrintToString(daemon.Leftovers());
    const TestDaemon::Result again = daemon.RunPod("pod");
    EXPECT_TRUE(again.ok()) << again.status();
  });
}

TEST_F(RecoveryTest, ADamagedRecordOfAContainer) {
  First(MakeRunning);
  RunSql(node_->database(), "UPDATE containers SET record = x'ff'");
  Next([this](TestDaemon& daemon) {
    EXPECT_EQ(PodOf(daemon)->state(), PodRecord::READY);
    EXPECT_TRUE(daemon.registry.Containers().empty());
    // Its keeper's process is all that is left.
    EXPECT_TRUE(Await([&] { return node_->Processes().size() == 1; }));
  });
}

TEST_F(RecoveryTest, ALostDatabase) {
  First([](TestDaemon& daemon) {
    MakeRunning(daemon);
    EXPECT_TRUE(daemon.RunPod("two").ok());
  });
  for (const char* suffix : {"-wal", "-shm"}) {
    unlink((node_->database() + suffix).c_str());
  }
  std::ofstream(node_->database()) << std::string(10000, 'x');
  Next([](TestDaemon& daemon) {
    EXPECT_TRUE(Await([&] { return daemon.Leftovers().empty(); }))
        << ::testing::PrintToString(daemon.Leftovers());
    EXPECT_TRUE(daemon.RunPod("pod").ok());
  });
}

TEST_F(RecoveryTest, NothingIsTakenUpTwice) {
  First(MakeRunning);
  First([](TestDaemon& daemon) {
    EXPECT_TRUE(daemon.Recover().ok());
    EXPECT_EQ(ContainerOf(daemon)->state(), ContainerRecord::RUNNING);
  });
  Next([](TestDaemon& daemon) {
    EXPECT_EQ(ContainerOf(daemon)->state(), ContainerRecord::RUNNING);
  });
}

}  // namespace
}  // namespace caisson::testing
