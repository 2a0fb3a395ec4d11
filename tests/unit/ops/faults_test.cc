#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/ops_fixture.h"

// A keeper that refuses, hangs, answers late or wrongly, stops or dies, at each
// call of each operation: the operation ends by its time, and afterwards the
// pod can be stopped and removed, and nothing is left.
namespace caisson::testing {
namespace {

constexpr Fault kFaults[] = {Fault::kRefuse, Fault::kHang, Fault::kAnswerLate,
                             Fault::kStop,   Fault::kDie,  Fault::kWrongAnswer};

const char* NameOf(Fault fault) {
  switch (fault) {
    case Fault::kRefuse:
      return "refuses";
    case Fault::kHang:
      return "hangs";
    case Fault::kAnswerLate:
      return "answers late";
    case Fault::kStop:
      return "stops";
    case Fault::kDie:
      return "dies";
    default:
      return "answers wrongly";
  }
}

// How much longer than its time an operation may take: what undoing needs, and
// the machine.
constexpr absl::Duration kGrace = absl::Seconds(45);

struct Subject {
  TestDaemon& daemon;
  std::string pod;
  std::string container;
};

struct Step {
  const char* call;
  // Whether the operation can't but fail by a call that isn't answered well.
  bool needs_it;
  // Whether it is about a container that runs.
  bool running;
  std::function<absl::Status(Subject&)> operation;
};

std::vector<Step> Steps() {
  return {
      {"create_container", true, false,
       [](Subject& it) {
         return it.daemon.CreateContainer(it.pod, "made").status();
       }},
      {"start_container", true, false,
       [](Subject& it) { return it.daemon.StartContainer(it.container); }},
      {"signal_container", false, true,
       [](Subject& it) {
         return it.daemon.StopContainer(it.container, absl::Milliseconds(200));
       }},
      {"remove_container", false, true,
       [](Subject& it) { return it.daemon.RemoveContainer(it.container); }},
      {"exec", true, true,
       [](Subject& it) {
         return it.daemon.Exec(it.container, {"/bin/true"}).status();
       }},
      {"reopen_log", true, true,
       [](Subject& it) { return it.daemon.ReopenLog(it.container); }},
      {"shutdown", false, true,
       [](Subject& it) { return it.daemon.StopPod(it.pod); }},
      {"shutdown", false, true,
       [](Subject& it) { return it.daemon.RemovePod(it.pod); }},
      {"remove_container", false, true,
       [](Subject& it) { return it.daemon.RemovePod(it.pod); }},
  };
}

void ExpectNothingLeft(TestDaemon& daemon) {
  EXPECT_TRUE(Await([&] { return daemon.Leftovers().empty(); }))
      << ::testing::PrintToString(daemon.Leftovers());
}

void Clean(Subject& it) {
  it.daemon.operation_time = absl::Seconds(30);
  it.daemon.caller_time = absl::Seconds(60);
  const absl::Status stopped = it.daemon.StopPod(it.pod);
  EXPECT_TRUE(stopped.ok()) << stopped;
  const absl::Status removed = it.daemon.RemovePod(it.pod);
  EXPECT_TRUE(removed.ok()) << removed;
  ExpectNothingLeft(it.daemon);
}

void Try(const Step& step, Fault fault) {
  SCOPED_TRACE(absl::StrCat(step.call, " ", NameOf(fault)));
  TestNode node;
  Subject it{TestDaemon::Start(node), "", ""};
  it.pod = it.daemon.RunPod("pod").value_or("");
  it.container = it.daemon.CreateContainer(it.pod, "main").value_or("");
  ASSERT_FALSE(it.container.empty());
  if (step.running) {
    ASSERT_TRUE(it.daemon.StartContainer(it.container).ok());
  }
  it.daemon.operation_time = absl::Seconds(1);
  it.daemon.caller_time = absl::Seconds(20);
  it.daemon.fake_keepers.world().faults.Set(step.call, fault);
  const absl::Time before = absl::Now();
  const absl::Status status = step.operation(it);
  EXPECT_LT(absl::Now() - before, it.daemon.operation_time + kGrace);
  if (step.needs_it && fault != Fault::kWrongAnswer) {
    EXPECT_FALSE(status.ok());
  }
  it.daemon.fake_keepers.world().faults.Clear();
  Clean(it);
}

// In groups: each case waits most of its time.
TEST(FaultsTest, AtEachCallOfEachOperationOfAPodThatIsThere) {
  CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
  for (const Step& step : Steps()) {
    std::vector<std::function<void()>> tasks;
    for (const Fault fault : kFaults) {
      tasks.push_back([&step, fault] { Try(step, fault); });
    }
    SideBySide(tasks);
  }
}

void TryRun(const char* call, Fault fault) {
  SCOPED_TRACE(absl::StrCat(call, " ", NameOf(fault)));
  TestNode node;
  TestDaemon& daemon = TestDaemon::Start(node);
  daemon.operation_time = absl::Seconds(1);
  daemon.fake_keepers.world().faults.Set(call, fault);
  v1::RunPodSandboxRequest request = daemon.PodRequest("pod");
  (*request.mutable_config()
        ->mutable_linux()
        ->mutable_sysctls())["net.ipv4.conf.eth0.forwarding"] = "1";
  const absl::Time before = absl::Now();
  const TestDaemon::Result result = daemon.RunPod(request);
  EXPECT_LT(absl::Now() - before, daemon.operation_time + kGrace);
  daemon.fake_keepers.world().faults.Clear();
  EXPECT_EQ(daemon.fake_keepers.world().faults.calls(call), 1);
  if (result.ok()) {
    EXPECT_EQ(fault, Fault::kWrongAnswer);
    EXPECT_TRUE(daemon.RemovePod(*result).ok());
  }
  ExpectNothingLeft(daemon);
  // The next try is another pod, and a good one.
  daemon.operation_time = absl::Seconds(30);
  const TestDaemon::Result next = daemon.RunPod(request);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(daemon.RemovePod(*next).ok());
  ExpectNothingLeft(daemon);
}

TEST(FaultsTest, AtEachCallOfAPodThatIsMade) {
  CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
  for (const char* call : {"fork", "create_pod", "write_sysctls"}) {
    std::vector<std::function<void()>> tasks;
    for (const Fault fault : kFaults) {
      const bool is_fork = std::string(call) == "fork";
      if (!is_fork || fault == Fault::kRefuse || fault == Fault::kHang) {
        tasks.push_back([call, fault] { TryRun(call, fault); });
      }
    }
    SideBySide(tasks);
  }
}

// The undoing of a failed creation meets a keeper that has gone wrong, too.
TEST(FaultsTest, WhereTheUndoingGoesWrongToo) {
  CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
  std::vector<std::function<void()>> tasks;
  for (const Fault undoing : {Fault::kRefuse, Fault::kHang, Fault::kStop,
                              Fault::kDie, Fault::kWrongAnswer}) {
    tasks.push_back([undoing] {
      SCOPED_TRACE(NameOf(undoing));
      TestNode node;
      Subject it{TestDaemon::Start(node), "", ""};
      it.pod = it.daemon.RunPod("pod").value_or("");
      it.daemon.operation_time = absl::Seconds(1);
      Faults& faults = it.daemon.fake_keepers.world().faults;
      faults.Set("create_container", Fault::kFailAfter);
      faults.Set("remove_container", undoing);
      EXPECT_FALSE(it.daemon.CreateContainer(it.pod, "main").ok());
      faults.Clear();
      Clean(it);
    });
  }
  SideBySide(tasks);
}

TEST(FaultsTest, ImagesAndLayersThatFail) {
  CAISSON_REQUIRE(TestNode::PrepareProcess(), "needs root");
  TestNode node;
  Subject it{TestDaemon::Start(node), "", ""};
  it.pod = it.daemon.RunPod("pod").value_or("");
  for (const char* call : {"find", "mount"}) {
    it.daemon.images.faults.Set(call, Fault::kRefuse);
    EXPECT_FALSE(it.daemon.CreateContainer(it.pod, "main").ok()) << call;
    EXPECT_EQ(it.daemon.images.holds(), 0) << call;
    EXPECT_TRUE(it.daemon.registry.Containers().empty()) << call;
  }
  EXPECT_TRUE(it.daemon.CreateContainer(it.pod, "main").ok());
  Clean(it);
}

}  // namespace
}  // namespace caisson::testing
