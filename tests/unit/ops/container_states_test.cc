#include "tests/support/ops_fixture.h"

// Each call about a container, in each state that a container may have.
namespace caisson::testing {
namespace {

using Code = absl::StatusCode;

constexpr Code kOk = Code::kOk;
constexpr Code kRefused = Code::kFailedPrecondition;
constexpr Code kNotFound = Code::kNotFound;
constexpr Code kExists = Code::kAlreadyExists;

class ContainerStatesTest : public OpsFixture {
 protected:
  void SetUp() override {
    OpsFixture::SetUp();
    if (daemon_ != nullptr) {
      pod_ = MakePod("pod");
    }
  }

  void TearDown() override {
    if (daemon_ != nullptr) {
      ExpectEndsClean(pod_);
      ExpectNothingLeft();
    }
  }

  using Call = std::function<absl::Status(TestDaemon&, const std::string&)>;

  // `call` of one in each state but CREATING, and of one that is gone.
  void CheckEach(const char* name, const Call& call,
                 const std::vector<Code>& codes) {
    const ContainerRecord::State states[] = {
        ContainerRecord::CREATED, ContainerRecord::RUNNING,
        ContainerRecord::EXITED, ContainerRecord::EXITED};
    ASSERT_EQ(codes.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      const std::string id =
          MakeContainer(pod_, std::string(name) + std::to_string(i), states[i]);
      if (i == 3) {
        EXPECT_TRUE(daemon_->RemoveContainer(id).ok());
      }
      const absl::Status status = call(*daemon_, id);
      EXPECT_EQ(status.code(), codes[i]) << name << " " << i << ": " << status;
    }
  }

  std::string pod_;
};

TEST_F(ContainerStatesTest, Start) {
  CheckEach("start",
            [](TestDaemon& it, const std::string& id) {
              return it.StartContainer(id);
            },
            {kOk, kRefused, kRefused, kNotFound});
}

TEST_F(ContainerStatesTest, Stop) {
  CheckEach("stop",
            [](TestDaemon& it, const std::string& id) {
              const absl::Status status = it.StopContainer(id);
              const core::ContainerPtr container = it.Container(id);
              EXPECT_TRUE(container == nullptr ||
                          container->state() == ContainerRecord::EXITED);
              return status;
            },
            {kOk, kOk, kOk, kOk});
}

TEST_F(ContainerStatesTest, Remove) {
  CheckEach("remove",
            [](TestDaemon& it, const std::string& id) {
              const absl::Status status = it.RemoveContainer(id);
              EXPECT_EQ(it.Container(id), nullptr);
              return status;
            },
            {kOk, kOk, kOk, kOk});
  EXPECT_EQ(daemon_->images.holds(), 0);
}

TEST_F(ContainerStatesTest, Update) {
  CheckEach("update",
            [](TestDaemon& it, const std::string& id) { return it.Update(id); },
            {kOk, kOk, kRefused, kNotFound});
}

TEST_F(ContainerStatesTest, ReopenLog) {
  CheckEach(
      "reopen",
      [](TestDaemon& it, const std::string& id) { return it.ReopenLog(id); },
      {kRefused, kOk, kRefused, kNotFound});
}

TEST_F(ContainerStatesTest, Exec) {
  CheckEach("exec",
            [](TestDaemon& it, const std::string& id) {
              return it.Exec(id, {"/bin/true"}).status();
            },
            {kRefused, kOk, kRefused, kNotFound});
}

TEST_F(ContainerStatesTest, CreateAgain) {
  CheckEach(
      "create",
      [this](TestDaemon& it, const std::string& id) {
        const core::ContainerPtr old = it.Container(id);
        const std::string name = old == nullptr
                                     ? "create3"
                                     : old->facts()->config->metadata().name();
        const TestDaemon::Result again = it.CreateContainer(pod_, name);
        // A client that missed the answer gets the same one.
        EXPECT_EQ(again.ok() && *again == id, again.ok() && old != nullptr);
        return again.status();
      },
      {kOk, kExists, kExists, kOk});
}

TEST_F(ContainerStatesTest, WhileItIsMade) {
  daemon_->fake_keepers.world().faults.Set("create_container", Fault::kHang);
  daemon_->operation_time = absl::Seconds(2);
  std::vector<TestDaemon::Result> made(
      2, TestDaemon::Result(absl::UnknownError("")));
  SideBySide(
      {[&] { made[0] = daemon_->CreateContainer(pod_, "slow"); },
       [&] { made[1] = daemon_->CreateContainer(pod_, "slow"); },
       [&] {
         ASSERT_TRUE(
             Await([&] { return !daemon_->registry.Containers().empty(); }));
         const std::string id = daemon_->registry.Containers()[0]->id();
         EXPECT_EQ(daemon_->StartContainer(id).code(), kRefused);
         EXPECT_EQ(daemon_->Update(id).code(), kRefused);
         EXPECT_EQ(daemon_->ReopenLog(id).code(), kRefused);
         EXPECT_EQ(daemon_->Exec(id, {"/bin/true"}).status().code(), kRefused);
       }});
  EXPECT_FALSE(made[0].ok());
  EXPECT_EQ(made[0], made[1]);
  EXPECT_EQ(daemon_->fake_keepers.world().faults.calls("create_container"), 1);
  EXPECT_TRUE(daemon_->registry.Containers().empty());
}

TEST_F(ContainerStatesTest, ARemovalWhileItIsMadeEndsTheMaking) {
  daemon_->fake_keepers.world().faults.Set("create_container", Fault::kHang);
  TestDaemon::Result made = absl::UnknownError("");
  const absl::Time before = absl::Now();
  SideBySide({[&] { made = daemon_->CreateContainer(pod_, "slow"); },
              [&] {
                auto& faults = daemon_->fake_keepers.world().faults;
                ASSERT_TRUE(Await(
                    [&] { return faults.calls("create_container") == 1; }));
                const std::string id = daemon_->registry.Containers()[0]->id();
                EXPECT_TRUE(daemon_->RemoveContainer(id).ok());
              }});
  EXPECT_FALSE(made.ok());
  // Long before the operation's own end.
  EXPECT_LT(absl::Now() - before, absl::Seconds(25));
  EXPECT_TRUE(daemon_->registry.Containers().empty());
}

TEST_F(ContainerStatesTest, ExitCodesAndReasons) {
  const std::string good = MakeContainer(pod_, "good", ContainerRecord::EXITED);
  const auto facts = daemon_->Container(good)->facts();
  EXPECT_EQ(facts->record.exit_code(), 0);
  EXPECT_EQ(facts->record.reason(), "Completed");
  const std::string bad = MakeContainer(pod_, "bad", ContainerRecord::RUNNING);
  daemon_->ExitContainer(bad, 3);
  ASSERT_TRUE(AwaitState(bad, ContainerRecord::EXITED));
  EXPECT_EQ(daemon_->Container(bad)->facts()->record.exit_code(), 3);
  EXPECT_EQ(daemon_->Container(bad)->facts()->record.reason(), "Error");
}

TEST_F(ContainerStatesTest, AnExecsOutputAndCode) {
  const std::string id = MakeContainer(pod_, "main", ContainerRecord::RUNNING);
  const auto answer =
      daemon_->Exec(id, {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->exit_code, 7);
  EXPECT_EQ(answer->output.out, "out\n");
  EXPECT_EQ(answer->output.err, "err\n");
  // Its time is over: all of it is killed.
  const auto late = daemon_->Exec(id, {"/bin/sh", "-c", "sleep 100 & sleep 99"},
                                  absl::Milliseconds(300));
  EXPECT_EQ(late.status().code(), Code::kDeadlineExceeded) << late.status();
  EXPECT_EQ(daemon_->Container(id)->state(), ContainerRecord::RUNNING);
}

TEST_F(ContainerStatesTest, AnImageThatIsNotThereMakesNothing) {
  v1::CreateContainerRequest request = daemon_->ContainerRequest("other");
  request.mutable_config()->mutable_image()->set_image("nothing");
  EXPECT_EQ(daemon_->CreateContainer(pod_, request).status().code(), kNotFound);
  EXPECT_TRUE(daemon_->registry.Containers().empty());
}

}  // namespace
}  // namespace caisson::testing
