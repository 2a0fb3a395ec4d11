#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/device_filter.h"

namespace caisson::cgroup {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class CgroupRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    absl::StatusOr<Layout> layout = DetectLayout("/sys/fs/cgroup/unified");
    ASSERT_TRUE(layout.ok()) << layout.status();
    layout_ = *layout;
  }

  void TearDown() override {
    for (const std::string& path :
         {root_ + "/pod/one", root_ + "/pod", root_}) {
      absl::StatusOr<Cgroup> cgroup = Cgroup::Open(layout_, path);
      if (cgroup.ok()) {
        (void)cgroup->Kill();
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        (void)cgroup->WaitUntilEmpty(Deadline::After(absl::Seconds(5)));
        EXPECT_TRUE(cgroup->Destroy().ok());
      }
    }
  }

  // A process born in `cgroup`: v1 by its own hand, v2 by the parent's.
  pid_t Spawn(const Cgroup& cgroup) {
    absl::StatusOr<std::vector<UniqueFd>> tasks = cgroup.OpenTasks();
    EXPECT_TRUE(tasks.ok());
    const std::string procs = cgroup.unified_path() + "/cgroup.procs";
    const pid_t pid = fork();
    if (pid == 0) {
      for (const UniqueFd& fd : *tasks) {
        if (write(fd.get(), "0", 1) != 1) {
          _exit(1);
        }
      }
      std::ofstream(procs) << "0" << std::flush;
      for (;;) {
        pause();
      }
    }
    for (int i = 0; i < 1000 && cgroup.Processes()->empty(); ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return pid;
  }

  std::string ReadV1(const std::string& controller, const std::string& file) {
    std::ifstream in(layout_.v1[controller] + "/" + root_ + "/pod/one/" + file);
    std::string line;
    std::getline(in, line);
    return line;
  }

  Layout layout_;
  std::string root_ = absl::StrCat("caisson-test.", getpid());
};

TEST_F(CgroupRootTest, LimitsAreInForce) {
  absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, root_ + "/pod/one");
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  Limits limits;
  limits.cpu_shares = 512;
  limits.cpu_quota = 20000;
  limits.cpu_period = 50000;
  limits.memory_bytes = 50000001;
  limits.swap_bytes = 60000000;
  limits.pids = 7;
  limits.cpuset_cpus = "0";
  absl::Status status = cgroup->Apply(limits);
  ASSERT_TRUE(status.ok()) << status;
  if (!layout_.is_v2()) {
    EXPECT_EQ(ReadV1("cpu", "cpu.shares"), "512");
    EXPECT_EQ(ReadV1("cpu", "cpu.cfs_quota_us"), "20000");
    EXPECT_EQ(ReadV1("memory", "memory.limit_in_bytes"), "49999872");
    EXPECT_EQ(ReadV1("pids", "pids.max"), "7");
    EXPECT_EQ(ReadV1("cpuset", "cpuset.cpus"), "0");
  }
  // Growing and shrinking past each other's old values.
  limits.memory_bytes = 500 << 20;
  limits.swap_bytes = 500 << 20;
  status = cgroup->Apply(limits);
  EXPECT_TRUE(status.ok()) << status;
  limits.memory_bytes = 10 << 20;
  limits.swap_bytes = 10 << 20;
  limits.cpu_quota = -1;
  limits.pids = -1;
  status = cgroup->Apply(limits);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(*cgroup->MemoryUsage(), uint64_t{10} << 20);
  EXPECT_EQ(*cgroup->OomKills(), 0u);
}

TEST_F(CgroupRootTest, KillEmptiesAndDestroyIsIdempotent) {
  absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, root_ + "/pod/one");
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  ASSERT_TRUE(Cgroup::Create(layout_, root_ + "/pod/one").ok());
  const pid_t pid = Spawn(*cgroup);
  EXPECT_THAT(*cgroup->Processes(), Contains(pid));
  EXPECT_TRUE(*cgroup->IsPopulated());
  EXPECT_EQ(cgroup->Destroy().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      cgroup->WaitUntilEmpty(Deadline::After(absl::Milliseconds(20))).code(),
      absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(cgroup->Freeze(true).ok());
  EXPECT_TRUE(cgroup->Freeze(false).ok());
  EXPECT_TRUE(cgroup->Kill().ok());
  EXPECT_TRUE(cgroup->WaitUntilEmpty(Deadline::After(absl::Seconds(5))).ok());
  // Not reaped yet: an ended task must not keep the directory.
  absl::Status status = cgroup->Destroy();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  EXPECT_TRUE(cgroup->Destroy().ok());
  EXPECT_TRUE(cgroup->Kill().ok());
  EXPECT_FALSE(*cgroup->IsPopulated());
  EXPECT_TRUE(cgroup->WaitUntilEmpty(Deadline::After(absl::Seconds(1))).ok());
  struct stat info;
  for (const auto& [name, mount] : layout_.v1) {
    const std::string left = mount + "/" + root_ + "/pod/one";
    EXPECT_NE(stat(left.c_str(), &info), 0) << left;
  }
}

TEST_F(CgroupRootTest, ExecChildrenAreKilledAlone) {
  absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, root_ + "/pod/one");
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  const pid_t outer = Spawn(*cgroup);
  absl::StatusOr<Cgroup> child = cgroup->CreateUnifiedChild("exec-1");
  ASSERT_TRUE(child.ok()) << child.status();
  const pid_t inner = Spawn(*child);
  EXPECT_THAT(*cgroup->Processes(), UnorderedElementsAre(outer, inner));
  EXPECT_TRUE(child->Kill().ok());
  EXPECT_TRUE(child->WaitUntilEmpty(Deadline::After(absl::Seconds(5))).ok());
  EXPECT_TRUE(child->Destroy().ok());
  EXPECT_THAT(*cgroup->Processes(), UnorderedElementsAre(outer));
}

TEST_F(CgroupRootTest, DestroyRemovesWhatIsBelow) {
  ASSERT_TRUE(Cgroup::Create(layout_, root_ + "/pod/one").ok());
  absl::StatusOr<Cgroup> top = Cgroup::Open(layout_, root_);
  ASSERT_TRUE(top.ok());
  const absl::Status status = top->Destroy();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(CgroupRootTest, RunningProcessesFollowIntoACpuset) {
  absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, root_ + "/pod/one");
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  const pid_t pid = Spawn(*cgroup);
  Limits limits;
  limits.cpuset_cpus = "0";
  const absl::Status status = cgroup->Apply(limits);
  EXPECT_TRUE(status.ok()) << status;
  if (!layout_.is_v2()) {
    EXPECT_EQ(ReadV1("cpuset", "cgroup.procs"), absl::StrCat(pid));
  }
}

// Prints what each step of a container's creation takes here, with the limits
// that a kubelet sets; the median of many.
TEST_F(CgroupRootTest, CreationIsQuick) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 200;
  ASSERT_TRUE(Cgroup::Create(layout_, root_ + "/pod").ok());
  Limits limits;
  limits.cpu_shares = 512;
  limits.memory_bytes = 64 << 20;
  std::map<std::string, std::vector<int64_t>> taken;
  auto last = Clock::now();
  const auto lap = [&](const char* step) {
    const auto now = Clock::now();
    taken[step].push_back((now - last).count() / 1000);
    last = Clock::now();
  };
  for (int i = 0; i < kRounds; ++i) {
    last = Clock::now();
    absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, root_ + "/pod/one");
    lap("1 create");
    ASSERT_TRUE(cgroup.ok()) << cgroup.status();
    ASSERT_TRUE(cgroup->Apply(limits).ok());
    lap("2 apply");
    ASSERT_TRUE(cgroup->OpenTasks().ok());
    lap("3 open tasks");
    ASSERT_TRUE(cgroup->OpenUnified().ok());
    lap("4 open unified");
    ASSERT_TRUE(cgroup->Mark("0123456789abcdef").ok());
    lap("5 mark");
    ASSERT_TRUE(cgroup->Destroy().ok());
    lap("6 destroy");
  }
  for (auto& [step, times] : taken) {
    std::sort(times.begin(), times.end());
    std::printf("%s: %ld us\n", step.c_str(),
                static_cast<long>(times[kRounds / 2]));
  }
}

// What a process in `cgroup` sees of opening `path`: 0 or an errno.
int OpenInside(const Cgroup& cgroup, const char* path, int flags) {
  const std::string procs = cgroup.unified_path() + "/cgroup.procs";
  const pid_t pid = fork();
  if (pid == 0) {
    std::ofstream(procs) << "0" << std::flush;
    _exit(open(path, flags | O_CLOEXEC) < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(CgroupRootTest, ADeviceFilterAllowsWhatItsRulesDo) {
  absl::StatusOr<Cgroup> group = Cgroup::Create(layout_, root_);
  ASSERT_TRUE(group.ok()) << group.status();
  // Without one all is allowed: the control.
  EXPECT_EQ(OpenInside(*group, "/dev/zero", O_RDWR), 0);
  EXPECT_EQ(OpenInside(*group, "/dev/kmsg", O_RDONLY), 0);
  std::vector<DeviceRule> rules;
  rules.push_back({false, 1, 3, true, true, true});
  rules.push_back({false, 1, 5, true, false, false});
  absl::StatusOr<UniqueFd> program = LoadDeviceFilter(rules);
  ASSERT_TRUE(program.ok()) << program.status();
  const absl::Status attached = AttachDeviceFilter(*group, program->get());
  ASSERT_TRUE(attached.ok()) << attached;
  program->reset();
  EXPECT_EQ(OpenInside(*group, "/dev/null", O_RDWR), 0);
  EXPECT_EQ(OpenInside(*group, "/dev/zero", O_RDONLY), 0);
  EXPECT_EQ(OpenInside(*group, "/dev/zero", O_WRONLY), EPERM);
  EXPECT_EQ(OpenInside(*group, "/dev/zero", O_RDWR), EPERM);
  EXPECT_EQ(OpenInside(*group, "/dev/full", O_RDONLY), EPERM);
  EXPECT_EQ(OpenInside(*group, "/dev/kmsg", O_RDONLY), EPERM);
}

TEST_F(CgroupRootTest, TheStandardRulesAllowMakingButNotOpening) {
  absl::StatusOr<Cgroup> group = Cgroup::Create(layout_, root_);
  ASSERT_TRUE(group.ok()) << group.status();
  absl::StatusOr<UniqueFd> program = LoadDeviceFilter(StandardDeviceRules());
  ASSERT_TRUE(program.ok()) << program.status();
  ASSERT_TRUE(AttachDeviceFilter(*group, program->get()).ok());
  for (const char* path :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    EXPECT_EQ(OpenInside(*group, path, O_RDWR), 0) << path;
  }
  EXPECT_EQ(OpenInside(*group, "/dev/kmsg", O_RDONLY), EPERM);
}

// Without a record: by what is written on the cgroup itself.
TEST_F(CgroupRootTest, MarkedOnesAreFoundWithoutARecord) {
  absl::StatusOr<Cgroup> pod = Cgroup::Create(layout_, root_ + "/pod");
  absl::StatusOr<Cgroup> one = Cgroup::Create(layout_, root_ + "/pod/one");
  ASSERT_TRUE(pod.ok() && one.ok());
  const auto ours = [&] {
    const auto all = FindMarked(layout_, Deadline::After(absl::Seconds(20)));
    EXPECT_TRUE(all.ok()) << all.status();
    std::vector<std::string> found;
    for (const MarkedCgroup& each : *all) {
      if (absl::StartsWith(each.path, root_)) {
        found.push_back(absl::StrCat(each.path, "=", each.pod_id));
      }
    }
    return found;
  };
  EXPECT_THAT(ours(), IsEmpty());
  absl::Status status = pod->Mark("abc123");
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(one->Mark("other").ok());
  // What is below it goes with it.
  EXPECT_THAT(ours(), ElementsAre(root_ + "/pod=abc123"));
  EXPECT_EQ(FindMarked(layout_, Deadline()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(pod->Mark("not an id").code(), absl::StatusCode::kInvalidArgument);
  absl::StatusOr<Cgroup> found = Cgroup::Open(layout_, root_ + "/pod");
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->Destroy().ok());
  EXPECT_THAT(ours(), IsEmpty());
}

}  // namespace
}  // namespace caisson::cgroup
