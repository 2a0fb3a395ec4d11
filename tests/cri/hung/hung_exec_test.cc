#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/unique_fd.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// Execs whose process something inside the container or on the machine holds
// up, before its program runs or after.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Answers are due this long after their time at the latest.
constexpr absl::Duration kSlack = absl::Seconds(4);

class HungExecTest : public LifeTest {
 protected:
  struct Answer {
    grpc::Status status;
    cri::ExecSyncResponse response;
    absl::Duration took;
  };

  std::future<Answer> BeginExec(const std::string& container,
                                const std::vector<std::string>& command,
                                int64_t timeout_seconds) {
    return Aside([this, container, command, timeout_seconds] {
      CriClient client(daemon_->SocketPath());
      const absl::Time begin = absl::Now();
      Answer answer;
      answer.status = client.Exec(container, command, timeout_seconds,
                                  &answer.response, absl::Seconds(60));
      answer.took = absl::Now() - begin;
      return answer;
    });
  }

  void ExpectStops(const std::string& container) {
    const absl::Time begin = absl::Now();
    const grpc::Status stopped = client_->StopContainer(container, 1);
    EXPECT_TRUE(stopped.ok()) << stopped.error_message();
    EXPECT_LT(absl::Now() - begin, absl::Seconds(1) + kSlack);
    cri::ContainerStatusResponse status;
    client_->ContainerStatus(container, &status);
    EXPECT_EQ(status.status().state(), cri::CONTAINER_EXITED);
  }
};

// Whatever joins the container's pid namespace it stops as soon as it can:
// that is between the exec's joining and its execve(2) or a moment later.
class StoppingContainerTest : public HungExecTest {
 protected:
  static std::vector<std::string> StopAll() {
    return {"sh", "-c", "while :; do kill -STOP -1; done 2>/dev/null"};
  }
};

TEST_F(StoppingContainerTest, HoldsUpNoExecForLongerThanItsTime) {
  const std::string pod = Pod("stopping");
  const std::string container = Container(pod, "stopper", StopAll());
  const std::string sibling = Container(pod, "sibling");
  std::vector<std::future<Answer>> execs;
  for (int i = 0; i < 6; ++i) {
    execs.push_back(BeginExec(container, {"sleep", "0.2"}, 2));
  }
  // Its keeper is there for the others.
  EXPECT_EQ(Output(sibling, {"echo", "well"}), "well\n");
  int in_time = 0;
  for (std::future<Answer>& exec : execs) {
    const Answer answer = exec.get();
    EXPECT_LT(answer.took, absl::Seconds(2) + kSlack)
        << answer.status.error_message();
    if (!answer.status.ok()) {
      EXPECT_EQ(answer.status.error_code(),
                grpc::StatusCode::DEADLINE_EXCEEDED);
      ++in_time;
    }
  }
  EXPECT_GT(in_time, 0) << "it stopped none";
  EXPECT_EQ(Output(sibling, {"echo", "well"}), "well\n");
  ExpectStops(container);
}

// More than there are threads for, with all the time there is, and their
// clients have gone away.
TEST_F(StoppingContainerTest, HoldsUpNoExecElsewhere) {
  const std::string container =
      Container(Pod("stopping"), "stopper", StopAll());
  const std::string other = Container(Pod("well"), "app");
  std::vector<std::future<grpc::Status>> gone;
  for (int i = 0; i < 12; ++i) {
    gone.push_back(Aside([this, container] {
      cri::ExecSyncResponse response;
      return CriClient(daemon_->SocketPath())
          .Exec(container, {"sleep", "5"}, 0, &response, absl::Seconds(3));
    }));
  }
  std::vector<std::future<Answer>> waiting;
  for (int i = 0; i < 12; ++i) {
    waiting.push_back(BeginExec(container, {"sleep", "5"}, 20));
  }
  absl::SleepFor(absl::Milliseconds(500));
  for (int i = 0; i < 5; ++i) {
    const absl::Time begin = absl::Now();
    EXPECT_EQ(Output(other, {"echo", "well"}), "well\n");
    EXPECT_LT(absl::Now() - begin, OnThisMachine(absl::Seconds(1)));
  }
  for (std::future<grpc::Status>& exec : gone) {
    exec.get();
  }
  // What nobody waits for any more is killed.
  ExpectStops(container);
  for (std::future<Answer>& exec : waiting) {
    EXPECT_LT(exec.get().took, absl::Seconds(20) + kSlack);
  }
}

TEST_F(StoppingContainerTest, HoldsUpNoEndOfTheDaemonAndNoSuccessor) {
  const std::string pod = Pod("stopping");
  const std::string container = Container(pod, "stopper", StopAll());
  std::vector<std::future<Answer>> execs;
  for (int i = 0; i < 4; ++i) {
    execs.push_back(BeginExec(container, {"sleep", "5"}, 0));
  }
  absl::SleepFor(absl::Seconds(1));
  const absl::Duration ended = daemon_->Terminate();
  EXPECT_LE(ended, OnThisMachine(absl::Seconds(1)));
  for (std::future<Answer>& exec : execs) {
    EXPECT_FALSE(exec.get().status.ok());
  }
  const absl::Duration served = daemon_->Start();
  EXPECT_LE(served, OnThisMachine(absl::Seconds(1)));
  printf("ended after %.2f s, served after %.2f s\n",
         absl::ToDoubleSeconds(ended), absl::ToDoubleSeconds(served));
  const absl::Time begin = absl::Now();
  const grpc::Status stopped = client_->StopPod(pod);
  EXPECT_TRUE(stopped.ok()) << stopped.error_message();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(15));
}

// Who opens the program waits until the lease is given back or the kernel
// takes it away, 45 seconds later (fcntl(2), lease-break-time).
TEST_F(HungExecTest, ALeaseOnTheProgramHoldsUpNothingElse) {
  const std::string program = directory_ + "/leased";
  fs::copy_file("/bin/busybox", program, fs::copy_options::overwrite_existing);
  const cri::RunPodSandboxRequest request = Request("leased");
  std::string pod;
  ASSERT_TRUE(client_->RunPod(request, &pod).ok());
  cri::CreateContainerRequest create =
      ContainerRequest(pod, request, "app", {"sleep", "1000"});
  cri::Mount& mount = *create.mutable_config()->add_mounts();
  mount.set_host_path(program);
  mount.set_container_path("/leased/busybox");
  std::string container;
  const grpc::Status created = client_->CreateContainer(create, &container);
  ASSERT_TRUE(created.ok()) << created.error_message();
  ASSERT_TRUE(client_->StartContainer(container).ok());

  signal(SIGIO, SIG_IGN);
  // One that could write would keep it from running at all (ETXTBSY).
  const UniqueFd leased(open(program.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(fcntl(leased.get(), F_SETLEASE, F_WRLCK), 0) << strerror(errno);
  std::future<Answer> exec =
      BeginExec(container, {"/leased/busybox", "true"}, 2);
  ASSERT_TRUE(Await([&] { return fcntl(leased.get(), F_GETLEASE) != F_WRLCK; },
                    absl::Seconds(2)))
      << "nobody waits for the lease";
  EXPECT_EQ(Output(container, {"echo", "well"}), "well\n");
  const Answer answer = exec.get();
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED)
      << answer.status.error_message();
  EXPECT_LT(answer.took, absl::Seconds(2) + kSlack);
  ExpectStops(container);
  fcntl(leased.get(), F_SETLEASE, F_UNLCK);
}

// A process that has seized another and never waits for it.
class Tracer {
 public:
  explicit Tracer(int pid) {
    pid_ = fork();
    if (pid_ == 0) {
      const bool seized = ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
      kill(getpid(), seized ? SIGSTOP : SIGKILL);
      for (;;) {
        pause();
      }
    }
    int status = 0;
    seized_ = waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status);
  }

  ~Tracer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  bool seized() const { return seized_; }

 private:
  int pid_ = 0;
  bool seized_ = false;
};

int64_t CpuTicks(int pid) {
  const std::string stat =
      testing::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) {
    fields >> skipped;
  }
  int64_t user = 0;
  int64_t system = 0;
  fields >> user >> system;
  return user + system;
}

TEST_F(HungExecTest, ATracerThatNeverWaitsHoldsUpNoEnd) {
  const std::string pod = Pod("traced");
  const std::string container = Container(pod, "app");
  const int keeper = KeeperOf(pod);
  std::future<Answer> exec = BeginExec(container, {"sleep", "3.14"}, 30);
  int traced = 0;
  ASSERT_TRUE(Await([&] {
    const std::string found =
        testing::ShellOutput("pgrep -fx 'sleep 3.14' | head -1");
    traced = atoi(found.c_str());
    return traced > 0;
  }));
  std::optional<Tracer> tracer(traced);
  ASSERT_TRUE(tracer->seized());
  const Answer answer = exec.get();
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_LT(answer.took, absl::Seconds(10));
  const int64_t before = CpuTicks(keeper);
  EXPECT_EQ(Output(container, {"echo", "well"}), "well\n");
  absl::SleepFor(absl::Seconds(2));
  const int64_t used = CpuTicks(keeper) - before;
  printf("the keeper used %ld ticks in 2 s\n", static_cast<long>(used));
  EXPECT_LT(used, sysconf(_SC_CLK_TCK) / 4);
  tracer.reset();
  // It is reaped then.
  EXPECT_TRUE(
      Await([&] { return !fs::exists(absl::StrCat("/proc/", traced)); }));
}

}  // namespace
}  // namespace caisson::cri_test
