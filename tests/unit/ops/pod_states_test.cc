#include "tests/support/ops_fixture.h"

// Each call about a pod, in each state that a pod may have.
namespace caisson::testing {
namespace {

using ::testing::HasSubstr;

using PodStatesTest = OpsFixture;

constexpr absl::StatusCode kOk = absl::StatusCode::kOk;
constexpr absl::StatusCode kRefused = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

// What each call answers in one state of the pod.
struct Row {
  const char* name;
  absl::StatusCode run_again;
  absl::StatusCode create;
  absl::StatusCode update;
  absl::StatusCode stop;
  absl::StatusCode remove;
};

void Check(TestDaemon& daemon, const std::string& pod, const Row& row) {
  const auto again = daemon.RunPod(row.name);
  EXPECT_EQ(again.status().code(), row.run_again) << row.name;
  EXPECT_EQ(daemon.CreateContainer(pod, "made").status().code(), row.create)
      << row.name;
  EXPECT_EQ(daemon.UpdatePod(pod).code(), row.update) << row.name;
  EXPECT_EQ(daemon.StopPod(pod).code(), row.stop) << row.name;
  EXPECT_EQ(daemon.RemovePod(pod).code(), row.remove) << row.name;
}

TEST_F(PodStatesTest, Ready) {
  const std::string pod = MakePod("ready");
  EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::READY);
  // A client that missed the answer gets the same pod.
  EXPECT_EQ(daemon_->RunPod("ready").value(), pod);
  Check(*daemon_, pod, {"ready", kOk, kOk, kOk, kOk, kOk});
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, Stopped) {
  const std::string pod = MakePod("stopped");
  MakeContainer(pod, "main", ContainerRecord::RUNNING);
  ASSERT_TRUE(daemon_->StopPod(pod).ok());
  EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::STOPPED);
  Check(*daemon_, pod,
        {"stopped", absl::StatusCode::kAlreadyExists, kRefused, kOk, kOk, kOk});
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, Removed) {
  const std::string pod = MakePod("removed");
  ASSERT_TRUE(daemon_->RemovePod(pod).ok());
  EXPECT_EQ(daemon_->Pod(pod), nullptr);
  Check(*daemon_, pod, {"removed", kOk, kNotFound, kNotFound, kOk, kOk});
  // Its name was free: the call above made another one.
  ASSERT_EQ(daemon_->registry.Pods().size(), 1u);
  ExpectEndsClean(daemon_->registry.Pods()[0]->id());
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, WhileItIsMadeARetryJoinsAndAStopEndsIt) {
  daemon_->fake_keepers.world().faults.Set("create_pod", Fault::kHang);
  daemon_->operation_time = absl::Seconds(2);
  std::vector<TestDaemon::Result> results(
      3, TestDaemon::Result(absl::UnknownError("")));
  std::vector<std::function<void()>> tasks;
  for (TestDaemon::Result& result : results) {
    tasks.push_back([&] { result = daemon_->RunPod("slow"); });
  }
  tasks.push_back([&] {
    ASSERT_TRUE(Await([&] { return !daemon_->registry.Pods().empty(); }));
    const std::string pod = daemon_->registry.Pods()[0]->id();
    EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::CREATING);
    // It is in no state in which containers could be made.
    Await([&] { return daemon_->Pod(pod)->keeper() != nullptr; });
    EXPECT_TRUE(daemon_->StopPod(pod).ok());
    EXPECT_TRUE(daemon_->RemovePod(pod).ok());
  });
  SideBySide(tasks);
  for (const TestDaemon::Result& result : results) {
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result, results[0]);
  }
  EXPECT_EQ(daemon_->fake_keepers.world().faults.calls("create_pod"), 1);
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, TheNameIsTakenForAnotherConfiguration) {
  const std::string pod = MakePod("web");
  v1::RunPodSandboxRequest other = daemon_->PodRequest("web");
  (*other.mutable_config()->mutable_labels())["app"] = "other";
  EXPECT_EQ(daemon_->RunPod(other).status().code(),
            absl::StatusCode::kAlreadyExists);
  other.mutable_config()->mutable_metadata()->set_attempt(1);
  const TestDaemon::Result next = daemon_->RunPod(other);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_NE(*next, pod);
  ExpectEndsClean(pod);
  ExpectEndsClean(*next);
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, WithoutANetworkNothingOfItIsMade) {
  daemon_->cni.faults.Set("check", Fault::kRefuse);
  const TestDaemon::Result result = daemon_->RunPod("early");
  EXPECT_EQ(result.status().code(), kRefused);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("network"));
  ExpectNothingLeft();
  // One of the host's network asks for none.
  daemon_->cni.faults.Set("check", Fault::kRefuse);
  const std::string pod = MakePod("host", false);
  EXPECT_THAT(daemon_->cni.Addresses(), ::testing::IsEmpty());
  ExpectEndsClean(pod);
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, ABeginningOfSeveralIdsIsNoName) {
  std::vector<std::string> pods;
  // With 17 ids two begin alike.
  for (int i = 0; i < 17; ++i) {
    pods.push_back(MakePod("pod" + std::to_string(i), false));
  }
  std::map<char, int> begins;
  for (const std::string& pod : pods) {
    ++begins[pod[0]];
  }
  for (const auto& [begin, count] : begins) {
    if (count > 1) {
      const std::string name(1, begin);
      EXPECT_EQ(daemon_->StopPod(name).code(),
                absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(daemon_->RemovePod(name).code(),
                absl::StatusCode::kInvalidArgument);
    }
  }
  EXPECT_EQ(daemon_->registry.Pods().size(), pods.size());
  for (const std::string& pod : pods) {
    EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::READY);
    EXPECT_TRUE(daemon_->RemovePod(pod).ok());
  }
  ExpectNothingLeft();
}

TEST_F(PodStatesTest, EachPodHasIdsOfItsOwn) {
  std::set<uint32_t> starts;
  std::vector<std::string> pods;
  for (int i = 0; i < 5; ++i) {
    pods.push_back(MakePod("pod" + std::to_string(i), true));
    const auto facts = daemon_->Pod(pods.back())->facts();
    ASSERT_EQ(facts->record.uids_size(), 1);
    EXPECT_TRUE(starts.insert(facts->record.uids(0).host_id()).second);
  }
  EXPECT_TRUE(daemon_->RemovePod(pods[2]).ok());
  // Free again.
  const std::string next = MakePod("next", true);
  EXPECT_TRUE(
      starts.contains(daemon_->Pod(next)->facts()->record.uids(0).host_id()));
  for (const std::string& pod : pods) {
    EXPECT_TRUE(daemon_->RemovePod(pod).ok());
  }
  EXPECT_TRUE(daemon_->RemovePod(next).ok());
  ExpectNothingLeft();
}

}  // namespace
}  // namespace caisson::testing
