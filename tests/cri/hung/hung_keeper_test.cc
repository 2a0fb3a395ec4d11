#include <gmock/gmock.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// A keeper that does not answer: SIGSTOP stands for all that may hold one up.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class HungKeeperTest : public LifeTest {
 protected:
  // A createContainer hook runs in the middle of a creation, as a child of the
  // process that the keeper has forked for it.  This one tells who it is and
  // goes on when the test says so.
  void SetUp() override {
    LifeTest::SetUp();
    place_ = directory_ + "/hung";
    fs::create_directory(place_);
    const std::string hook = place_ + "/hook";
    std::ofstream(hook) << "#!/bin/sh\n"
                        << "echo $$ $PPID >" << place_ << "/begun.new\n"
                        << "mv " << place_ << "/begun.new " << place_
                        << "/begun\n"
                        << "until [ -e " << place_ << "/go ]; do sleep 0.05; "
                        << "done\n";
    chmod(hook.c_str(), 0755);
    std::ofstream(directory_ + "/cdi/hung.yaml")
        << "cdiVersion: 1.1.0\nkind: test.com/wait\ndevices:\n"
        << "- name: \"0\"\n  containerEdits:\n    hooks:\n"
        << "    - hookName: createContainer\n      path: " << hook << "\n"
        << "      env: [\"PATH=/usr/bin:/bin\"]\n      timeout: 600\n";
  }

  void TearDown() override {
    if (int hook = 0; Begun(&hook, nullptr)) {
      kill(hook, SIGKILL);
    }
    LifeTest::TearDown();
    std::error_code error;
    fs::remove_all(place_, error);
    fs::remove(directory_ + "/cdi/hung.yaml", error);
  }

  bool Begun(int* hook, int* child) {
    std::ifstream file(place_ + "/begun");
    int pids[2] = {};
    if (!(file >> pids[0] >> pids[1])) {
      return false;
    }
    if (hook != nullptr) {
      *hook = pids[0];
    }
    if (child != nullptr) {
      *child = pids[1];
    }
    return true;
  }

  // A creation that waits for its hook.
  cri::CreateContainerRequest Waiting(const std::string& pod) {
    cri::CreateContainerRequest request =
        ContainerRequest(pod, Request("hung"), "waiting", {"sleep", "1000"});
    request.mutable_config()->add_cdi_devices()->set_name("test.com/wait=0");
    return request;
  }

  struct Answer {
    grpc::Status status;
    absl::Duration took;
  };

  std::future<Answer> BeginCreate(const std::string& pod, absl::Duration time) {
    return Aside([this, request = Waiting(pod), time] {
      CriClient client(daemon_->SocketPath());
      const absl::Time begin = absl::Now();
      std::string id;
      Answer answer;
      answer.status = client.CreateContainer(request, &id, time);
      answer.took = absl::Now() - begin;
      return answer;
    });
  }

  // Life goes on in other pods, until there were enough lists.
  void LiveElsewhere(const ListWatch& watch, size_t lists) {
    int round = 0;
    while (!HasFailure() && (round < 5 || watch.calls() < lists)) {
      const std::string pod = Pod(absl::StrCat("other", ++round));
      const std::string container = Container(pod, "app");
      EXPECT_EQ(Output(container, {"echo", "well"}), "well\n");
      EXPECT_TRUE(client_->StopContainer(container, 0).ok());
      EXPECT_TRUE(client_->StopPod(pod).ok());
      EXPECT_TRUE(client_->RemovePod(pod).ok());
    }
  }

  // Refused at once, sooner or later.
  void ExpectRefused(const std::string& pod) {
    const cri::CreateContainerRequest request =
        ContainerRequest(pod, Request("hung"), "late", {"sleep", "1000"});
    grpc::Status status;
    absl::Duration took;
    const bool refused = Await([&] {
      const absl::Time begin = absl::Now();
      std::string id;
      status = client_->CreateContainer(request, &id, absl::Seconds(10));
      took = absl::Now() - begin;
      return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
             took < OnThisMachine(absl::Milliseconds(200));
    });
    EXPECT_TRUE(refused) << status.error_code() << ": "
                         << status.error_message() << " after " << took;
    EXPECT_THAT(status.error_message(), HasSubstr("keeper"));
  }

  std::string place_;
};

bool Lives(int pid) {
  return kill(pid, 0) == 0 &&
         !absl::StrContains(
             testing::ReadFile(absl::StrCat("/proc/", pid, "/stat")), ") Z ");
}

TEST_F(HungKeeperTest, HangsNothingButItsPod) {
  const std::string pod = Pod("hung");
  const int keeper = KeeperOf(pod);
  ASSERT_GT(keeper, 0);
  // Before it is known to hang.
  constexpr absl::Duration kTime = absl::Seconds(2);
  std::future<Answer> create = BeginCreate(pod, kTime);
  ASSERT_TRUE(Await([&] { return Begun(nullptr, nullptr); }));
  kill(keeper, SIGSTOP);
  ListWatch watch(daemon_->SocketPath());
  LiveElsewhere(watch, 500);
  const Answer answer = create.get();
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(answer.status.error_message(),
              AllOf(HasSubstr("make process"), HasSubstr(" for ")));
  EXPECT_LT(answer.took, kTime + absl::Seconds(1));
  ExpectRefused(pod);
  ExpectQuick(watch.Stop(), 500, "beside a keeper that hangs");
  const absl::Time begin = absl::Now();
  const grpc::Status stopped = client_->StopPod(pod);
  EXPECT_TRUE(stopped.ok()) << stopped.error_message();
  printf("StopPodSandbox of it: %.1f s\n",
         absl::ToDoubleSeconds(absl::Now() - begin));
  EXPECT_FALSE(Lives(keeper));
  const grpc::Status removed = client_->RemovePod(pod);
  EXPECT_TRUE(removed.ok()) << removed.error_message();
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(10)), ::testing::IsEmpty());
}

// The container's process is what hangs, while it is being made: its keeper
// does all else.
TEST_F(HungKeeperTest, ServesWhileAChildOfItHangs) {
  const std::string pod = Pod("hung");
  const std::string sibling = Container(pod, "sibling");
  std::future<Answer> create = BeginCreate(pod, absl::Seconds(8));
  int child = 0;
  ASSERT_TRUE(Await([&] { return Begun(nullptr, &child); }));
  ASSERT_GT(child, 1);
  kill(child, SIGSTOP);
  EXPECT_EQ(Output(sibling, {"echo", "well"}), "well\n");
  const std::string another = Container(pod, "another");
  EXPECT_EQ(Output(another, {"echo", "well"}), "well\n");
  EXPECT_TRUE(client_->StopContainer(another, 0).ok());
  const absl::Time begin = absl::Now();
  const grpc::Status stopped = client_->StopPod(pod);
  EXPECT_TRUE(stopped.ok()) << stopped.error_message();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  EXPECT_FALSE(create.get().status.ok());
  EXPECT_TRUE(client_->RemovePod(pod).ok());
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(10)), ::testing::IsEmpty());
}

class HungKeeperRestartTest : public HungKeeperTest,
                              public ::testing::WithParamInterface<int> {
 protected:
  void Restart() {
    if (GetParam() == SIGKILL) {
      daemon_->Kill();
    } else {
      const absl::Duration took = daemon_->Terminate();
      printf("ended %.2f s after SIGTERM\n", absl::ToDoubleSeconds(took));
      EXPECT_LE(took, OnThisMachine(absl::Seconds(1)));
    }
    const absl::Duration took = daemon_->Start();
    printf("served after %.2f s\n", absl::ToDoubleSeconds(took));
    ASSERT_LE(took, OnThisMachine(absl::Seconds(1))) << daemon_->LogTail();
  }
};

INSTANTIATE_TEST_SUITE_P(Signals, HungKeeperRestartTest,
                         ::testing::Values(SIGKILL, SIGTERM),
                         [](const auto& of) {
                           return of.param == SIGKILL ? "Kill" : "Terminate";
                         });

TEST_P(HungKeeperRestartTest, IsTakenUpWhenItGoesOn) {
  const std::string pod = Pod("hung");
  const std::string container = Container(pod, "app");
  const std::string ending =
      Container(pod, "ending", {"sh", "-c", "sleep 2; exit 7"});
  const std::string other = Container(Pod("well"), "app");
  const int keeper = KeeperOf(pod);
  kill(keeper, SIGSTOP);
  Restart();
  std::vector<cri::PodSandbox> pods;
  ASSERT_TRUE(client_->Pods(&pods).ok());
  EXPECT_EQ(pods.size(), 2u);
  for (const cri::PodSandbox& each : pods) {
    EXPECT_EQ(each.state(), cri::SANDBOX_READY);
  }
  EXPECT_EQ(Output(other, {"echo", "well"}), "well\n");
  kill(keeper, SIGCONT);
  // Refused until it has answered.
  EXPECT_TRUE(Await([&] {
    cri::ExecSyncResponse response;
    return client_->Exec(container, {"true"}, 10, &response).ok();
  }));
  cri::ContainerStatusResponse status;
  EXPECT_TRUE(Await([&] {
    client_->ContainerStatus(ending, &status);
    return status.status().state() == cri::CONTAINER_EXITED;
  }));
  EXPECT_EQ(status.status().exit_code(), 7);
  EXPECT_EQ(KeeperOf(pod), keeper);
}

TEST_P(HungKeeperRestartTest, LosesACreationThatHung) {
  const std::string pod = Pod("hung");
  const int keeper = KeeperOf(pod);
  std::future<Answer> create = BeginCreate(pod, absl::Seconds(30));
  ASSERT_TRUE(Await([&] { return Begun(nullptr, nullptr); }));
  kill(keeper, SIGSTOP);
  Restart();
  EXPECT_EQ(create.get().status.error_code(), grpc::StatusCode::UNAVAILABLE);
  std::vector<cri::Container> containers;
  EXPECT_TRUE(client_->Containers(&containers).ok());
  EXPECT_TRUE(containers.empty());
  kill(keeper, SIGCONT);
  std::ofstream(place_ + "/go") << "go";
  // The same again succeeds, once the first is out of its way.
  std::string id;
  grpc::Status status;
  EXPECT_TRUE(Await([&] {
    status = client_->CreateContainer(Waiting(pod), &id);
    return status.ok();
  })) << status.error_message();
  EXPECT_TRUE(client_->StartContainer(id).ok());
  EXPECT_EQ(Output(id, {"echo", "well"}), "well\n");
}

}  // namespace
}  // namespace caisson::cri_test
