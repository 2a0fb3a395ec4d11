#include "tests/support/ops_fixture.h"
#include "tests/support/store_access.h"

// Starts that fail, and programs that end at once.
namespace caisson::testing {
namespace {

class StartTest : public OpsFixture {
 protected:
  void SetUp() override {
    OpsFixture::SetUp();
    if (daemon_ != nullptr) {
      pod_ = MakePod("pod", false);
      id_ = MakeContainer(pod_, "main", ContainerRecord::CREATED);
      daemon_->events.Subscribe([this](const core::Event& event) {
        if (event.container != nullptr) {
          MutexLock lock(mutex_);
          states_.push_back(event.container->record.state());
        }
      });
    }
  }

  void TearDown() override {
    if (daemon_ != nullptr) {
      ExpectEndsClean(pod_);
      ExpectNothingLeft();
    }
  }

  // States on the bus since the container was made.
  std::vector<int> States() {
    MutexLock lock(mutex_);
    return states_;
  }

  Faults& faults() { return daemon_->fake_keepers.world().faults; }

  void ExpectStartError(const absl::Status& started) {
    EXPECT_FALSE(started.ok());
    // Before the answer, so without waiting.
    const auto facts = daemon_->Container(id_)->facts();
    EXPECT_EQ(facts->record.state(), ContainerRecord::EXITED);
    EXPECT_EQ(facts->record.exit_code(), 128);
    EXPECT_EQ(facts->record.reason(), "StartError");
    EXPECT_EQ(facts->record.message(), started.message());
    EXPECT_GT(facts->record.finished_at(), 0);
    const auto record = FindContainerRecord(*daemon_->store, id_);
    EXPECT_EQ(record->exit_code(), 128);
    EXPECT_EQ(States(), std::vector<int>{ContainerRecord::EXITED});
    // A second try is no start of what has ended.
    EXPECT_EQ(daemon_->StartContainer(id_).code(),
              absl::StatusCode::kFailedPrecondition);
  }

  std::string pod_;
  std::string id_;
  Mutex mutex_;
  std::vector<int> states_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StartTest, OneThatFailsHasEndedBeforeTheAnswer) {
  faults().Set("start_container", Fault::kRefuse);
  ExpectStartError(daemon_->StartContainer(id_));
}

TEST_F(StartTest, AlsoWhenTheEndIsToldBeforeTheError) {
  faults().Set("start_container", Fault::kFailAfter);
  ExpectStartError(daemon_->StartContainer(id_));
}

TEST_F(StartTest, AProgramThatEndsAtOnceHasRun) {
  daemon_->fake_keepers.world().SetExitCode(id_, 3);
  faults().Set("start_container", Fault::kEndFirst);
  const absl::Status started = daemon_->StartContainer(id_);
  EXPECT_TRUE(started.ok()) << started;
  ASSERT_TRUE(AwaitState(id_, ContainerRecord::EXITED));
  const auto facts = daemon_->Container(id_)->facts();
  EXPECT_EQ(facts->record.exit_code(), 3);
  EXPECT_GT(facts->record.started_at(), 0);
  EXPECT_EQ(States(), (std::vector<int>{ContainerRecord::RUNNING,
                                        ContainerRecord::EXITED}));
}

TEST_F(StartTest, AStopWhileItStartsEndsIt) {
  daemon_->operation_time = absl::Seconds(3);
  faults().Set("start_container", Fault::kHang);
  absl::Status started;
  SideBySide({[&] { started = daemon_->StartContainer(id_); },
              [&] {
                ASSERT_TRUE(Await(
                    [&] { return faults().calls("start_container") == 1; }));
                EXPECT_TRUE(daemon_->StopContainer(id_).ok());
              }});
  EXPECT_EQ(daemon_->Container(id_)->state(), ContainerRecord::EXITED);
}

TEST_F(StartTest, ManyStartsAreOne) {
  std::vector<absl::Status> results(6);
  std::vector<std::function<void()>> tasks;
  for (absl::Status& result : results) {
    tasks.push_back([&] { result = daemon_->StartContainer(id_); });
  }
  SideBySide(tasks);
  int good = 0;
  for (const absl::Status& result : results) {
    good += result.ok() ? 1 : 0;
    EXPECT_TRUE(result.ok() || absl::IsFailedPrecondition(result)) << result;
  }
  EXPECT_GE(good, 1);
  EXPECT_EQ(faults().calls("start_container"), 1);
  EXPECT_EQ(daemon_->Container(id_)->state(), ContainerRecord::RUNNING);
}

}  // namespace
}  // namespace caisson::testing
