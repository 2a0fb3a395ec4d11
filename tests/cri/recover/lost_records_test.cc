#include <gmock/gmock.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// Records that are damaged while pods run.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LostRecordsTest : public LifeTest {
 protected:
  std::string Database() const { return config_.root + "/pods.db"; }

  void TearDown() override {
    LifeTest::TearDown();
    // What was set aside, for whoever looks into it.
    testing::Shell(absl::StrCat("rm -f ", Database(), ".*"));
  }

  // Overwrites the record `id` of `table`.
  void Damage(const std::string& table, const std::string& id) {
    EXPECT_EQ(testing::Shell(
                  absl::StrCat("python3 - ", Database(), " ", id, " <<'EOF'\n",
                               "import sqlite3, sys\n"
                               "db = sqlite3.connect(sys.argv[1])\n"
                               "done = db.execute(\"UPDATE ",
                               table,
                               " SET record = x'ffff0000ffff' WHERE id = ?\","
                               " (sys.argv[2],))\n"
                               "assert done.rowcount == 1\n"
                               "db.commit()\nEOF\n")),
              0);
  }

  void DamageAll() {
    std::ofstream(Database()) << std::string(100000, 'x');
    fs::remove(Database() + "-wal");
    fs::remove(Database() + "-shm");
  }

  void Start() {
    const absl::Duration took = daemon_->Start();
    ASSERT_LE(took, OnThisMachine(absl::Seconds(1))) << daemon_->LogTail();
  }

  std::vector<std::string> Listed() {
    std::vector<cri::PodSandbox> pods;
    EXPECT_TRUE(client_->Pods(&pods).ok());
    std::vector<std::string> ids;
    for (const cri::PodSandbox& pod : pods) {
      ids.push_back(pod.id());
    }
    return ids;
  }

  // Host's first id of a process's user namespace.
  static std::string FirstIdOf(int pid) {
    return testing::ShellOutput(
        absl::StrCat("awk 'NR == 1 { print $2 }' /proc/", pid, "/uid_map"));
  }
};

TEST_F(LostRecordsTest, OfOnePodTakeItDownAlone) {
  const std::string lost = Pod("lost", true);
  Container(lost, "app");
  const std::string kept = Pod("kept", true);
  const std::string container = Container(kept, "app");
  const int keeper = KeeperOf(lost);
  daemon_->Kill();
  Damage("pods", lost);
  Start();
  EXPECT_THAT(Listed(), ::testing::ElementsAre(kept));
  EXPECT_TRUE(Await([&] {
    return kill(keeper, 0) != 0 && leftovers_->Addresses().size() == 1 &&
           leftovers_->Keepers().size() == 1;
  })) << ::testing::PrintToString(leftovers_->Find());
  EXPECT_EQ(Output(container, {"echo", "well"}), "well\n");
  // Its name is free again, and so is all else: TearDown() sees that nothing
  // of it is left.
  const std::string again = Pod("lost", true);
  EXPECT_EQ(Output(Container(again, "app"), {"echo", "well"}), "well\n");
}

TEST_F(LostRecordsTest, OfOneContainerTakeItDownAlone) {
  const std::string pod = Pod("pod");
  const std::string lost = Container(pod, "lost");
  const std::string kept = Container(pod, "kept");
  const int process = PidOf(lost);
  daemon_->Kill();
  Damage("containers", lost);
  Start();
  EXPECT_TRUE(Await([&] { return kill(process, 0) != 0; }));
  std::vector<cri::Container> containers;
  EXPECT_TRUE(client_->Containers(&containers).ok());
  ASSERT_THAT(containers, SizeIs(1));
  EXPECT_EQ(containers[0].id(), kept);
  EXPECT_EQ(Output(kept, {"echo", "well"}), "well\n");
}

TEST_F(LostRecordsTest, OfAllTakeAllDown) {
  for (const char* name : {"a", "b", "c"}) {
    Container(Pod(name, true), "app");
  }
  Container(Pod("host"), "app");
  daemon_->Kill();
  DamageAll();
  Start();
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(30)), IsEmpty());
  // All ranges are free.
  const std::string container = Container(Pod("fresh", true), "app");
  EXPECT_EQ(FirstIdOf(PidOf(container)), absl::StrCat(config_.identity.first));
}

// A process whose end a tracer holds up, PTRACE_EVENT_EXIT of ptrace(2):
// SIGKILL ends it no more.
class EndHolder {
 public:
  explicit EndHolder(int pid) {
    pid_ = fork();
    if (pid_ == 0) {
      const bool seized =
          ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACEEXIT) == 0;
      kill(getpid(), seized ? SIGSTOP : SIGKILL);
      for (;;) {
        pause();
      }
    }
    int status = 0;
    seized_ = waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status);
  }

  ~EndHolder() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  bool seized() const { return seized_; }

 private:
  int pid_ = 0;
  bool seized_ = false;
};

TEST_F(LostRecordsTest, FreeNoIdsOfAProcessThatCannotBeEnded) {
  const std::string container = Container(Pod("lost", true), "app");
  const int process = PidOf(container);
  const std::string ids = FirstIdOf(process);
  ASSERT_EQ(ids, absl::StrCat(config_.identity.first));
  daemon_->Kill();
  DamageAll();
  std::optional<EndHolder> holder(process);
  ASSERT_TRUE(holder->seized());
  Start();
  // It was killed, and is there.
  EXPECT_TRUE(Await([&] {
    return absl::StrContains(
        testing::ReadFile(absl::StrCat("/proc/", process, "/stat")), ") t ");
  }));
  for (int i = 0; i < 3; ++i) {
    const std::string pod = Pod(absl::StrCat("new", i), true);
    EXPECT_NE(FirstIdOf(PidOf(Container(pod, "app"))), ids);
  }
  EXPECT_EQ(FirstIdOf(process), ids) << "it has ended too soon for this test";
  RemoveAll();
  holder.reset();
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(60)), IsEmpty());
  const std::string fresh = Container(Pod("fresh", true), "app");
  EXPECT_EQ(FirstIdOf(PidOf(fresh)), ids);
}

}  // namespace
}  // namespace caisson::cri_test
