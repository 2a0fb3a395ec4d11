#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/support/daemon_process.h"
#include "tests/support/ops_fixture.h"

// The daemon ends at each point of each operation: at each of its stages, and
// at each call of a keeper and of a plugin.  The next daemon takes up what is
// there: nothing is lost, nothing leaks, and a retry succeeds.
//
// Each daemon is a process of its own.  This one has no threads, so that it
// may fork them.
namespace caisson::testing {
namespace {

constexpr int kDied = 77;

// Counts moments at which a daemon may die, and dies at one of them.
class Reaper {
 public:
  // From here on; `at` counts from 0, and -1 is never.
  static void Arm(int at) {
    at_ = at;
    count_ = 0;
    armed_ = true;
  }

  static int count() { return count_; }

  static void Install() {
    core::Operation::SetStageHook(
        [](const core::Operation&, const char*) { Pass(); });
    Faults::Hook() = [] { Pass(); };
  }

 private:
  static void Pass() {
    if (armed_ && count_++ == at_) {
      _exit(kDied);
    }
  }

  static inline std::atomic<bool> armed_ = false;
  static inline std::atomic<int> count_ = 0;
  static inline int at_ = -1;
};

// What is done to a pod "pod" with the container "main".
struct Case {
  const char* name;
  // Made before the daemon's end is near.
  std::function<void(TestDaemon&)> before;
  // Dies somewhere in this.
  std::function<absl::Status(TestDaemon&)> operation;
};

std::string PodOf(TestDaemon& daemon) {
  return daemon.RunPod("pod").value_or("none");
}

std::string ContainerOf(TestDaemon& daemon) {
  for (const core::ContainerPtr& container : daemon.registry.Containers()) {
    if (container->facts()->config->metadata().name() == "main") {
      return container->id();
    }
  }
  return "none";
}

void MakePod(TestDaemon& daemon) {
  EXPECT_TRUE(daemon.RunPod("pod").ok());
}

void MakeCreated(TestDaemon& daemon) {
  EXPECT_TRUE(daemon.CreateContainer(PodOf(daemon), "main").ok());
}

void MakeRunning(TestDaemon& daemon) {
  MakeCreated(daemon);
  EXPECT_TRUE(daemon.StartContainer(ContainerOf(daemon)).ok());
}

// OK also when it had been started before the end.
absl::Status Start(TestDaemon& daemon) {
  const absl::Status started = daemon.StartContainer(ContainerOf(daemon));
  const core::ContainerPtr container = daemon.Container(ContainerOf(daemon));
  return container != nullptr && container->state() == ContainerRecord::RUNNING
             ? absl::OkStatus()
             : started;
}

std::vector<Case> Cases() {
  const auto nothing = [](TestDaemon&) {};
  return {
      {"run pod", nothing,
       [](TestDaemon& it) { return it.RunPod("pod").status(); }},
      {"create container", MakePod,
       [](TestDaemon& it) {
         return it.CreateContainer(PodOf(it), "main").status();
       }},
      {"start container", MakeCreated, Start},
      {"stop container", MakeRunning,
       [](TestDaemon& it) {
         return it.StopContainer(ContainerOf(it), absl::Milliseconds(300));
       }},
      {"remove container", MakeRunning,
       [](TestDaemon& it) { return it.RemoveContainer(ContainerOf(it)); }},
      {"update container", MakeRunning,
       [](TestDaemon& it) { return it.Update(ContainerOf(it)); }},
      {"exec", MakeRunning,
       [](TestDaemon& it) {
         return it.Exec(ContainerOf(it), {"/bin/true"}).status();
       }},
      {"stop pod", MakeRunning,
       [](TestDaemon& it) {
         return it.registry.Pods().empty()
                    ? absl::OkStatus()
                    : it.StopPod(it.registry.Pods()[0]->id());
       }},
      {"remove pod", MakeRunning,
       [](TestDaemon& it) {
         return it.registry.Pods().empty()
                    ? absl::OkStatus()
                    : it.RemovePod(it.registry.Pods()[0]->id());
       }},
  };
}

// The first daemon's life.
int LiveAndDie(TestNode& node, const Case& one, int at) {
  Reaper::Install();
  TestDaemon& daemon = TestDaemon::Start(node);
  one.before(daemon);
  Reaper::Arm(at);
  const absl::Status status = one.operation(daemon);
  EXPECT_TRUE(status.ok()) << status;
  return Reaper::count();
}

void ExpectConsistent(TestDaemon& daemon) {
  for (const core::PodPtr& pod : daemon.registry.Pods()) {
    // What was half made is no pod of anybody's.
    EXPECT_NE(pod->state(), PodRecord::CREATING);
    if (pod->state() == PodRecord::READY) {
      EXPECT_NE(pod->keeper(), nullptr);
    }
  }
}

// The second one's, which is to find all.
int TakeUp(TestNode& node, const Case& one) {
  TestDaemon& daemon = TestDaemon::Start(node);
  const absl::Status recovered = daemon.Recover();
  EXPECT_TRUE(recovered.ok()) << recovered;
  ExpectConsistent(daemon);
  absl::Status retried;
  EXPECT_TRUE(Await([&] {
    retried = one.operation(daemon);
    return retried.ok();
  })) << retried;
  for (const core::PodPtr& pod : daemon.registry.Pods()) {
    EXPECT_TRUE(daemon.StopPod(pod->id()).ok());
    EXPECT_TRUE(daemon.RemovePod(pod->id()).ok());
  }
  EXPECT_TRUE(Await([&] { return daemon.Leftovers().empty(); }))
      << ::testing::PrintToString(daemon.Leftovers());
  return 0;
}

class CrashTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
  }
};

TEST_P(CrashTest, AtEachPoint) {
  const Case one = Cases()[GetParam()];
  int moments = 0;
  {
    TestNode node;
    moments = InProcess([&] { return LiveAndDie(node, one, -1); });
  }
  ASSERT_GT(moments, 1) << one.name;
  ASSERT_LT(moments, kDied) << one.name;
  for (int at = 0; at < moments; ++at) {
    SCOPED_TRACE(absl::StrCat(one.name, ", moment ", at, " of ", moments));
    TestNode node;
    ASSERT_EQ(InProcess([&] { return LiveAndDie(node, one, at); }), kDied);
    EXPECT_EQ(InProcess([&] { return TakeUp(node, one); }), 0);
    EXPECT_THAT(node.Leftovers(), ::testing::IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashTest,
                         ::testing::Range(size_t{0}, Cases().size()),
                         [](const ::testing::TestParamInfo<size_t>& which) {
                           std::string name = Cases()[which.param].name;
                           name.erase(
                               std::remove(name.begin(), name.end(), ' '),
                               name.end());
                           return name;
                         });

}  // namespace
}  // namespace caisson::testing
