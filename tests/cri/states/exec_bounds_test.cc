#include <gmock/gmock.h>

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// The bounds of an exec: time and output.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

// What a client takes at most (the kubelet's limit of a message).
constexpr size_t kMessage = 16 << 20;

class ExecBoundsTest : public LifeTest {
 protected:
  void SetUp() override {
    LifeTest::SetUp();
    container_ = Container(Pod("pod"), "app");
  }

  // As the kubelet's client: with room for 16 MiB.
  grpc::Status ExecAtMost(const std::string& script,
                          cri::ExecSyncResponse* response) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(static_cast<int>(kMessage));
    const auto stub = cri::RuntimeService::NewStub(grpc::CreateCustomChannel(
        "unix://" + daemon_->SocketPath(), grpc::InsecureChannelCredentials(),
        arguments));
    cri::ExecSyncRequest request;
    request.set_container_id(container_);
    for (const std::string& word :
         {std::string("sh"), std::string("-c"), script}) {
      request.add_cmd(word);
    }
    request.set_timeout(60);
    grpc::ClientContext context;
    SetTime(context, absl::Seconds(90));
    return stub->ExecSync(&context, request, response);
  }

  // Whether a process of that command line is on the machine.
  static bool Runs(const std::string& command) {
    return testing::Shell("pgrep -fx '" + command + "' >/dev/null") == 0;
  }

  std::string container_;
};

TEST_F(ExecBoundsTest, ASteadyWriterEndsAtItsTime) {
  cri::ExecSyncResponse response;
  const absl::Time begin = absl::Now();
  const grpc::Status status = client_->Exec(
      container_, {"sh", "-c", "while :; do echo x; sleep 0.05; done"}, 2,
      &response);
  const absl::Duration took = absl::Now() - begin;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED)
      << status.error_message();
  EXPECT_GE(took, absl::Milliseconds(1900));
  EXPECT_LT(took, absl::Seconds(2) + OnThisMachine(absl::Seconds(1)));
}

// More writers than a reader keeps up with: it never finds the pipe empty.
TEST_F(ExecBoundsTest, AFloodEndsAtItsTime) {
  cri::ExecSyncResponse response;
  const absl::Time begin = absl::Now();
  const grpc::Status status = client_->Exec(
      container_,
      {"sh", "-c",
       "for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero bs=64k & done; wait"},
      2, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED)
      << status.error_message();
  EXPECT_LT(absl::Now() - begin,
            absl::Seconds(2) + OnThisMachine(absl::Seconds(1)));
}

TEST_F(ExecBoundsTest, ATimeBeyondAllClocksIsNone) {
  for (const int64_t seconds :
       {int64_t{1000000000000000000}, int64_t{9223372037},
        std::numeric_limits<int64_t>::max()}) {
    cri::ExecSyncResponse response;
    const grpc::Status status = client_->Exec(
        container_, {"sh", "-c", "sleep 0.3; echo well"}, seconds, &response);
    EXPECT_TRUE(status.ok()) << seconds << ": " << status.error_message();
    EXPECT_EQ(response.stdout(), "well\n");
  }
}

TEST_F(ExecBoundsTest, AClientThatGoesAwayEndsItsExec) {
  cri::ExecSyncRequest request;
  request.set_container_id(container_);
  for (const char* word : {"sleep", "271.8"}) {
    request.add_cmd(word);
  }
  grpc::ClientContext context;
  std::future<grpc::Status> exec = Aside([&] {
    cri::ExecSyncResponse response;
    return client_->runtime().ExecSync(&context, request, &response);
  });
  ASSERT_TRUE(Await([] { return Runs("sleep 271.8"); }));
  context.TryCancel();
  EXPECT_EQ(exec.get().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Await([] { return !Runs("sleep 271.8"); }));
  EXPECT_EQ(Output(container_, {"echo", "well"}), "well\n");
}

TEST_F(ExecBoundsTest, MuchOutputIsCutAndFits) {
  cri::ExecSyncResponse response;
  // 16 MiB and a bit, by one of the two.
  grpc::Status status = ExecAtMost(
      "head -c 16777216 /dev/zero; head -c 1000 /dev/zero; exit 3", &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.exit_code(), 3);
  EXPECT_LT(response.stdout().size(), kMessage);
  EXPECT_GT(response.stdout().size(), size_t{1} << 20);
  // 9 MiB by each.
  status = ExecAtMost(
      "head -c 9437184 /dev/zero; head -c 9437184 /dev/zero >&2; exit 4",
      &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.exit_code(), 4);
  EXPECT_GT(response.stdout().size(), 0u);
  EXPECT_LT(response.stdout().size() + response.stderr().size(), kMessage);
  // What fits is whole.
  status = ExecAtMost("head -c 1000000 /dev/zero; echo end >&2", &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.stdout().size(), 1000000u);
  EXPECT_EQ(response.stderr(), "end\n");
}

TEST_F(ExecBoundsTest, EightWithMuchOutputTakeBoundedMemory) {
  std::vector<std::future<grpc::Status>> execs;
  for (int i = 0; i < 8; ++i) {
    execs.push_back(Aside([this] {
      cri::ExecSyncResponse response;
      return ExecAtMost("head -c 33554432 /dev/zero; sleep 1", &response);
    }));
  }
  int64_t most = 0;
  for (std::future<grpc::Status>& exec : execs) {
    while (exec.wait_for(std::chrono::milliseconds(20)) !=
           std::future_status::ready) {
      most = std::max(most, daemon_->ResidentKilobytes());
    }
    const grpc::Status status = exec.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  printf("eight execs of 32 MiB: the daemon had %.1f MB at most\n",
         static_cast<double>(most) / 1024);
  EXPECT_LT(most, 160 << 10);
}

}  // namespace
}  // namespace caisson::cri_test
