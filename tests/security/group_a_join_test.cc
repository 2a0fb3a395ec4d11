#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/security/process_facts.h"
#include "tests/security/rows.h"
#include "tests/security/security_fixture.h"
#include "tests/support/keeper_fixture.h"

// Group A, the process that joins a container, halted after each of its steps:
// no race has to be won.  By a keeper without a daemon, whose pause points the
// daemon has no call for.
namespace caisson::cri_test {
namespace {

using ::caisson::testing::Soon;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kAll = ~uint64_t{0} >> 23;  // 41 capabilities
constexpr uint64_t kTrace = uint64_t{1} << 19;

class JoinTest : public ::caisson::testing::KeeperFixture,
                 public ::testing::WithParamInterface<Mode> {
 protected:
  bool OwnUsers() const { return GetParam() == Mode::kOwnUsers; }

  void SetUp() override {
    KeeperFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    shared_ = directory_->path() + "/shared";
    ASSERT_EQ(mkdir(shared_.c_str(), 0777), 0);
    for (const char* name : {"/in", "/out"}) {
      ASSERT_EQ(mkfifo((shared_ + name).c_str(), 0666), 0);
      ASSERT_EQ(chmod((shared_ + name).c_str(), 0666), 0);
    }
    auto plan = PodPlan();
    if (!OwnUsers()) {
      plan.message.clear_uids();
      plan.message.clear_gids();
    }
    const auto created = keeper_->CreatePod(std::move(plan), Soon());
    ASSERT_TRUE(created.ok()) << created.status();
  }

  void TearDown() override {
    // Their other ends close, and with them the attacker's loop.
    requests_.close();
    answers_.close();
    KeeperFixture::TearDown();
  }

  // Runs `argv` with the probe at /probe and the shared directory at /shared.
  // In the host's pid namespace where `sees_host`: all there is to attack.
  void Start(const std::string& id, const std::vector<std::string>& argv,
             bool sees_host, uint64_t more_capabilities = 0) {
    auto plan = Plan(id, argv, sees_host, more_capabilities);
    const auto created = keeper_->CreateContainer(std::move(plan), Soon());
    ASSERT_TRUE(created.ok()) << created.status();
    const auto started = keeper_->StartContainer(id, "", Soon());
    ASSERT_TRUE(started.ok()) << started.status();
  }

  pod::WithFds<keeper::v1::ContainerPlan> Plan(
      const std::string& id, const std::vector<std::string>& argv,
      bool sees_host, uint64_t more_capabilities = 0) {
    auto plan = ContainerPlan(id, argv);
    using keeper::v1::ContainerPlan;
    if (!OwnUsers()) {
      EXPECT_EQ(chown((plan.message.home_directory() + "/upper").c_str(), 0, 0),
                0);
    }
    plan.message.set_pid_mode(sees_host ? ContainerPlan::PID_NODE
                                        : ContainerPlan::PID_CONTAINER);
    Bind(CAISSON_BIN_DIR "/caisson-probe", "/probe", plan.message);
    Bind(shared_, "/shared", plan.message);
    auto& sets = *plan.message.mutable_process()->mutable_capabilities();
    sets.set_bounding(sets.bounding() | more_capabilities);
    sets.set_permitted(sets.permitted() | more_capabilities);
    sets.set_effective(sets.effective() | more_capabilities);
    return plan;
  }

  static void Bind(const std::string& source, const std::string& target,
                   keeper::v1::ContainerPlan& plan) {
    keeper::v1::Mount& mount = *plan.add_mounts();
    mount.set_source(source);
    mount.set_target(target);
  }

  void StartAttacker(uint64_t more_capabilities) {
    Start("attacker",
          {"/probe", "attack-on-demand", "/shared/in", "/shared/out"}, true,
          more_capabilities);
    requests_.open(shared_ + "/in");
    answers_.open(shared_ + "/out");
  }

  Json Attack(int pid) {
    requests_ << pid << std::endl;
    std::string line;
    std::getline(answers_, line);
    Json answer = Json::parse(line, nullptr, false);
    EXPECT_FALSE(answer.is_discarded()) << line;
    return answer;
  }

  // Nothing but "no" to all of it, while it still was the runtime's process.
  void ExpectRefused(const Json& answer) {
    EXPECT_EQ(answer["name"], "caisson-keeper");
    EXPECT_EQ(answer["name_after"], "caisson-keeper");
    EXPECT_EQ(answer["attempts"].size(), 11u);
    for (const Json& attempt : answer["attempts"]) {
      EXPECT_TRUE(attempt["errno"] == "EPERM" || attempt["errno"] == "EACCES")
          << attempt;
    }
    EXPECT_THAT(answer["fds"], IsEmpty());
  }

  // Of this test; other programs mount things as well.
  std::string Mounts() {
    return ::caisson::testing::ShellOutput(
        absl::StrCat("grep -F ", directory_->path(), " /proc/self/mountinfo"));
  }

  // Calls `visit` with the pid of an exec that waits after each of its steps.
  template <typename Visit>
  void AtEachStepOfExec(const std::string& container, Visit visit) {
    int number = 0;
    for (const std::string& step : StepsOf("exec-child")) {
      SCOPED_TRACE(step);
      ASSERT_TRUE(keeper_->PauseAfter(step, Soon()).ok());
      const std::string id = absl::StrCat("exec", number++);
      absl::Status status;
      std::thread exec([&] {
        status =
            keeper_->Exec(ExecPlan(id, container, {"true"}), Soon()).status();
      });
      const int pid = AwaitPaused([this] { return ProcessesLeft(); });
      if (pid > 0) {
        visit(step, pid);
        kill(pid, SIGUSR1);
      }
      exec.join();
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(AwaitExit(id), 0);
    }
    ASSERT_TRUE(keeper_->PauseAfter("", Soon()).ok());
  }

  std::string shared_;
  std::ofstream requests_;
  std::ifstream answers_;
};

CAISSON_BOTH_MODES(JoinTest);

// CVE-2016-9962, CVE-2015-8709: root of the container, all of the machine's
// processes in sight, in a pod of its own ids with every capability.
TEST_P(JoinTest, A7NobodyLooksIntoAProcessThatJoins) {
  StartAttacker(OwnUsers() ? kAll : 0);
  Start("target", {"sleep", "1000"}, false);
  AtEachStepOfExec("target", [&](const std::string&, int pid) {
    ExpectRefused(Attack(pid));
  });
  // The same attack works on what is the container's own.
  const Json own = Attack(PidsNamed("sleep", ProcessesLeft()));
  for (const Json& attempt : own["attempts"]) {
    EXPECT_EQ(attempt["errno"], "OK") << attempt;
  }
}

// The host's fs.suid_dumpable makes each change of ids allow it again.
TEST_P(JoinTest, A8NorWhereChangesOfIdsAllowIt) {
  const HostSetting dumpable("/proc/sys/fs/suid_dumpable", "1");
  StartAttacker(OwnUsers() ? kAll : 0);
  auto plan = Plan("target", {"sleep", "1000"}, false);
  plan.message.mutable_process()->set_uid(1000);
  plan.message.mutable_process()->set_gid(1000);
  ASSERT_TRUE(keeper_->CreateContainer(std::move(plan), Soon()).ok());
  ASSERT_TRUE(keeper_->StartContainer("target", "", Soon()).ok());
  AtEachStepOfExec("target", [&](const std::string&, int pid) {
    ExpectRefused(Attack(pid));
  });
}

// And the init, up to the byte that starts it.
TEST_P(JoinTest, A8NobodyLooksIntoAnInitThatIsSetUp) {
  StartAttacker(OwnUsers() ? kAll : 0);
  int number = 0;
  for (const std::string& step : StepsOf("init")) {
    if (step == "await-start") {
      break;  // the process waits by itself, and then has nothing to do
    }
    SCOPED_TRACE(step);
    ASSERT_TRUE(keeper_->PauseAfter(step, Soon()).ok());
    const std::string id = absl::StrCat("c", number++);
    absl::Status status;
    std::thread create([&] {
      status =
          keeper_->CreateContainer(Plan(id, {"true"}, false), Soon()).status();
    });
    const int pid = AwaitPaused([this] { return ProcessesLeft(); });
    if (pid > 0) {
      ExpectRefused(Attack(pid));
      kill(pid, SIGUSR1);
    }
    create.join();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(keeper_->RemoveContainer(id, Soon()).ok());
  }
}

// With CAP_SYS_PTRACE on the host's ids the kernel lets it: then there is
// nothing to be found, from the moment on that the process can be seen.
TEST_P(JoinTest, A7WhoMayTraceFindsNothingOfTheKeeper) {
  Start("target", {"sleep", "1000"}, false, kTrace);
  bool visible = false;
  AtEachStepOfExec("target", [&](const std::string& step, int pid) {
    visible = visible || step == "become-init";
    if (!visible) {
      return;
    }
    EXPECT_EQ(RootOf(pid), RootOf(PidsNamed("sleep", ProcessesLeft())));
    for (const OpenFile& file : OpenFilesOf(pid)) {
      EXPECT_TRUE(file.IsHarmless() || file.IsRootOf(pid)) << file;
    }
  });
  EXPECT_TRUE(visible);
}

// CVE-2024-21626's kind: from close-other-files on, only stdio and the channel.
TEST_P(JoinTest, A6FilesOfAnExecAreCounted) {
  Start("target", {"sleep", "1000"}, false);
  bool closed = false;
  AtEachStepOfExec("target", [&](const std::string& step, int pid) {
    closed = closed || step == "close-other-files";
    if (!closed) {
      return;
    }
    const std::vector<OpenFile> files = OpenFilesOf(pid);
    ASSERT_EQ(files.size(), 4u);
    for (int fd = 0; fd < 3; ++fd) {
      EXPECT_TRUE(files[fd].IsHarmless()) << files[fd];
    }
    EXPECT_EQ(files[3].number, 3);
    EXPECT_THAT(files[3].target, HasSubstr("socket:"));
  });
  EXPECT_TRUE(closed);
  EXPECT_EQ(OpenFilesOf(PidsNamed("sleep", ProcessesLeft())).size(), 3u);
}

// Killed between any two steps: the create fails, nothing stays.
TEST_P(JoinTest, A6AKilledStageLeavesNothing) {
  const std::string mounts = Mounts();
  int number = 0;
  for (const std::string& step : StepsOf("init")) {
    if (step == "await-start") {
      break;
    }
    SCOPED_TRACE(step);
    ASSERT_TRUE(keeper_->PauseAfter(step, Soon()).ok());
    const std::string id = absl::StrCat("c", number++);
    absl::Status status;
    std::thread create([&] {
      status =
          keeper_->CreateContainer(Plan(id, {"true"}, false), Soon()).status();
    });
    const int pid = AwaitPaused([this] { return ProcessesLeft(); });
    EXPECT_GT(pid, 0);
    if (pid > 0) {
      kill(pid, SIGKILL);
    }
    create.join();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(ProcessesLeft(), IsEmpty());
    EXPECT_EQ(
        ::caisson::testing::ShellOutput(absl::StrCat("pgrep -P ", keeper_pid_)),
        "");
    EXPECT_EQ(Mounts(), mounts);
  }
}

}  // namespace
}  // namespace caisson::cri_test
