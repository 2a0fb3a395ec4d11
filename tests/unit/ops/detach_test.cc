#include "absl/time/clock.h"
#include "tests/support/ops_fixture.h"
#include "tests/support/store_access.h"

// Networks that fail or hang at their begin or end.
namespace caisson::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class DetachTest : public OpsFixture {
 protected:
  void TearDown() override {
    if (daemon_ != nullptr) {
      ExpectNothingLeft();
      // The pins stay until DEL succeeded.
      EXPECT_EQ(daemon_->cni.late_deletes(), 0);
    }
  }
};

TEST_F(DetachTest, AnAddThatFailsLeavesNothing) {
  for (const Fault fault : {Fault::kRefuse, Fault::kFailAfter}) {
    daemon_->cni.faults.Set("add", fault);
    EXPECT_FALSE(daemon_->RunPod("web").ok());
    ExpectNothingLeft();
  }
  const std::string pod = MakePod("web");
  ExpectEndsClean(pod);
}

TEST_F(DetachTest, AnAddWhoseUndoingFailsIsUndoneLater) {
  daemon_->cni.faults.Set("add", Fault::kFailAfter);
  // That of ADD itself, of the operation's undoing, and of the first retry.
  daemon_->cni.faults.Set("delete", Fault::kRefuse, 3);
  EXPECT_FALSE(daemon_->RunPod("web").ok());
  const std::vector<core::PodPtr> pods = daemon_->registry.Pods();
  ASSERT_THAT(pods, SizeIs(1));
  const std::string id = pods[0]->id();
  // Nobody forgets it: neither this daemon nor the next one.
  const auto record = FindPodRecord(*daemon_->store, id);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->state(), PodRecord::STOPPED);
  EXPECT_TRUE(record->network_attached());
  EXPECT_THAT(daemon_->cni.Addresses(), ElementsAre(id));
  EXPECT_TRUE(daemon_->detach_queue.Describe().contains(id));
  // Tried again until it works, and then all is gone.
  ExpectNothingLeft();
  EXPECT_GE(daemon_->cni.faults.calls("delete"), 4);
  EXPECT_TRUE(Await([&] { return daemon_->detach_queue.Describe().empty(); }));
}

TEST_F(DetachTest, AStopWhoseDelFailsSaysSoAndIsFinishedLater) {
  const std::string pod = MakePod("web");
  daemon_->cni.faults.Set("delete", Fault::kRefuse, 2);
  const absl::Status stopped = daemon_->StopPod(pod);
  EXPECT_FALSE(stopped.ok());
  EXPECT_THAT(std::string(stopped.message()), HasSubstr("DEL"));
  EXPECT_EQ(daemon_->Pod(pod)->state(), PodRecord::STOPPED);
  EXPECT_THAT(daemon_->cni.Addresses(), ElementsAre(pod));
  EXPECT_TRUE(Await([&] { return daemon_->cni.Addresses().empty(); }));
  EXPECT_TRUE(Await([&] {
    return !FindPodRecord(*daemon_->store, pod)->network_attached();
  }));
  ExpectEndsClean(pod);
}

TEST_F(DetachTest, ARemovalWhoseDelFailsIsFinishedLater) {
  const std::string pod = MakePod("web");
  MakeContainer(pod, "main", ContainerRecord::RUNNING);
  daemon_->cni.faults.Set("delete", Fault::kRefuse, 2);
  EXPECT_FALSE(daemon_->RemovePod(pod).ok());
  EXPECT_TRUE(FindPodRecord(*daemon_->store, pod).has_value());
}

TEST_F(DetachTest, ARetryOfTheClientComesFirst) {
  const std::string pod = MakePod("web");
  daemon_->cni.faults.Set("delete", Fault::kRefuse);
  EXPECT_FALSE(daemon_->RemovePod(pod).ok());
  EXPECT_TRUE(daemon_->RemovePod(pod).ok());
  EXPECT_TRUE(Await([&] { return daemon_->detach_queue.Describe().empty(); }));
}

TEST_F(DetachTest, AnAddThatHangsEndsWithItsOperation) {
  daemon_->operation_time = absl::Milliseconds(500);
  daemon_->cni.faults.Set("add", Fault::kHang);
  const absl::Time before = absl::Now();
  const TestDaemon::Result result = daemon_->RunPod("web");
  EXPECT_FALSE(result.ok());
  EXPECT_LT(absl::Now() - before, absl::Seconds(20));
  ExpectNothingLeft();
  daemon_->operation_time = absl::Seconds(30);
  ExpectEndsClean(MakePod("web"));
}

TEST_F(DetachTest, ACallerWhoseTimeIsOverHearsWhereItIsAndMayJoinAgain) {
  daemon_->operation_time = absl::Seconds(3);
  daemon_->cni.faults.Set("add", Fault::kHang);
  daemon_->caller_time = absl::Milliseconds(300);
  const TestDaemon::Result first = daemon_->RunPod("web");
  EXPECT_EQ(first.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(first.status().message()),
              HasSubstr("attach network"));
  daemon_->caller_time = absl::Seconds(60);
  const TestDaemon::Result joined = daemon_->RunPod("web");
  EXPECT_FALSE(joined.ok());
  EXPECT_EQ(daemon_->cni.faults.calls("add"), 1);
  ExpectNothingLeft();
}

TEST_F(DetachTest, ADelThatHangsEndsWithItsOperation) {
  const std::string pod = MakePod("web");
  daemon_->operation_time = absl::Milliseconds(500);
  daemon_->cni.faults.Set("delete", Fault::kHang);
  EXPECT_FALSE(daemon_->StopPod(pod).ok());
  // Meanwhile pods without a network come and go.
  const std::string other = MakePod("host", false);
  EXPECT_TRUE(daemon_->RemovePod(other).ok());
  daemon_->operation_time = absl::Seconds(30);
  ExpectEndsClean(pod);
}

TEST_F(DetachTest, AddressesAreInTheRecordOfAReadyPod) {
  const std::string pod = MakePod("web");
  const auto record = FindPodRecord(*daemon_->store, pod);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->state(), PodRecord::READY);
  EXPECT_TRUE(record->network_attached());
  EXPECT_THAT(record->ips(), ElementsAre("10.1.2.3"));
  EXPECT_THAT(daemon_->detach_queue.Describe(), IsEmpty());
  ExpectEndsClean(pod);
}

}  // namespace
}  // namespace caisson::testing
