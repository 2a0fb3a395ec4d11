#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/cgroup/cgroup.h"
#include "tests/security/bounded_group.h"
#include "tests/security/process_facts.h"
#include "tests/security/security_fixture.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"

// Group H: cgroups and resource containment.
namespace caisson::cri_test {
namespace {

using ::caisson::testing::Await;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Stub = cri::RuntimeService::Stub;

constexpr int64_t kMebibyte = 1 << 20;
// Of all of this run: more than any of its swarms, and none too many.
constexpr int kMostProcesses = 300;
constexpr auto kPatience = std::chrono::seconds(20);

class CgroupEscapeTest : public SecurityTest {
 protected:
  void SetUp() override {
    SecurityTest::SetUp();
    run_.emplace(layout_, config_.cgroup.driver, config_.cgroup.parent);
  }

  // As the kubelet would: the parent is the test's, and stays.
  void TearDown() override {
    if (HasFailure() && parent_) {
      // Whatever went wrong, no swarm may outlive the test.
      parent_->KillAll();
      run_->KillAll();
    }
    SecurityTest::TearDown();
    if (parent_) {
      run_->Allow("max");
      parent_->Remove();
    }
  }

  // A pod below a parent of this test, which allows `processes`.  Where the
  // daemon has what is below no parent there is a bound as well, for a swarm
  // that is not where it was asked for.
  std::string PodBelowParent(int processes) {
    parent_.emplace(layout_, config_.cgroup.driver,
                    absl::StrCat(config_.cgroup.parent, "-parent", getpid()));
    run_->Allow(absl::StrCat(kMostProcesses));
    parent_->Allow(absl::StrCat(processes));
    return ModePod([&](cri::PodSandboxConfig& config) {
      config.mutable_linux()->set_cgroup_parent(parent_->parent());
    });
  }

  // Each hierarchy that limits it has the process below the parent.
  void ExpectBelowParent(int pid) {
    std::string text =
        ::caisson::testing::ReadFile(absl::StrCat("/proc/", pid, "/cgroup"));
    int hierarchies = 0;
    for (absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> parts =
          absl::StrSplit(line, absl::MaxSplits(':', 2));
      if (!parts[1].empty() && parts[1] != "memory" && parts[1] != "pids") {
        continue;
      }
      // With nothing to limit it may be in the parent itself.
      EXPECT_TRUE(absl::StartsWith(parts[2] + "/",
                                   absl::StrCat("/", parent_->path(), "/")))
          << line;
      ++hierarchies;
    }
    EXPECT_EQ(hierarchies, layout_.is_v2() ? 1 : 3);
  }

  // The container's init and an exec that runs meanwhile.
  void ExpectAllBelowParent(const std::string& container) {
    ExpectBelowParent(PidOf(container));
    std::thread exec([&] {
      cri::ExecSyncRequest request;
      request.set_container_id(container);
      for (const char* word : {"/bin/busybox", "sleep", "1000"}) {
        request.add_cmd(word);
      }
      request.set_timeout(2);
      cri::ExecSyncResponse response;
      Call(&Stub::ExecSync, request, response);
    });
    int pid = 0;
    EXPECT_TRUE(Await([&] {
      pid = PidsNamed("busybox", parent_->Processes());
      return pid > 0;
    }));
    ExpectBelowParent(pid);
    exec.join();
  }

  void Do(const cri::UpdateContainerResourcesRequest& request) {
    cri::UpdateContainerResourcesResponse response;
    const grpc::Status status =
        Call(&Stub::UpdateContainerResources, request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  grpc::Status StopNow(const std::string& container) {
    cri::StopContainerRequest stop;
    stop.set_container_id(container);
    cri::StopContainerResponse stopped;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    return runtime_->StopContainer(&context, stop, &stopped);
  }

  int KeeperOf(const std::string& container) {
    int keeper = 0;
    EXPECT_TRUE(absl::SimpleAtoi(StatusOf(PidOf(container), "PPid"), &keeper));
    return keeper;
  }

  std::optional<BoundedGroup> run_;  // what has all of this daemon
  std::optional<BoundedGroup> parent_;
};

CAISSON_BOTH_MODES(CgroupEscapeTest);

// CVE-2025-47291.
TEST_P(CgroupEscapeTest, H1AllOfAPodIsBelowItsParent) {
  const std::string container =
      Start(PodBelowParent(100), [](cri::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(
            128 * kMebibyte);
      });
  ExpectAllBelowParent(container);
  RestartDaemon();
  cri::UpdateContainerResourcesRequest update;
  update.set_container_id(container);
  update.mutable_linux()->set_memory_limit_in_bytes(64 * kMebibyte);
  Do(update);
  ExpectAllBelowParent(container);
}

TEST_P(CgroupEscapeTest, H1LimitsHold) {
  const std::string pod = PodBelowParent(40);
  const std::string hog = Start(pod, [](cri::ContainerConfig& config) {
    config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(
        64 * kMebibyte);
  });
  cri::ExecSyncResponse response;
  EXPECT_TRUE(
      Exec(hog, {"/caisson-probe", "allocate", "134217728"}, &response).ok());
  EXPECT_EQ(response.exit_code(), 128 + SIGKILL);
  EXPECT_TRUE(
      Exec(hog, {"/caisson-probe", "allocate", "16777216"}, &response).ok());
  EXPECT_EQ(response.exit_code(), 0);
  const std::string swarm = Start(pod, [](cri::ContainerConfig& config) {
    config.set_log_path("swarm.log");
    config.clear_command();
    for (const char* word : {"/caisson-probe", "swarm", "200"}) {
      config.add_command(word);
    }
  });
  AwaitLog("swarm.log");
  const Json said = StopAndReadJson(swarm, "swarm.log");
  EXPECT_EQ(said["errno"], "EAGAIN");
  EXPECT_GT(said["made"], 10);
  EXPECT_LT(said["made"], 40);
}

// CVE-2019-14891.
TEST_P(CgroupEscapeTest, H2TheKeeperOutlivesItsPodsMemory) {
  const std::string container =
      Start(PodBelowParent(100), [](cri::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(
            32 * kMebibyte);
      });
  const int keeper = KeeperOf(container);
  const std::string group =
      ::caisson::testing::ReadFile(absl::StrCat("/proc/", keeper, "/cgroup"));
  EXPECT_THAT(group, HasSubstr(config_.cgroup.keepers));
  EXPECT_THAT(group, Not(HasSubstr(parent_->path())));
  for (int i = 0; i < 30; ++i) {
    cri::ExecSyncResponse response;
    const grpc::Status status =
        Exec(container, {"/caisson-probe", "allocate", "67108864"}, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.exit_code(), 128 + SIGKILL);
  }
  EXPECT_EQ(StatusOf(keeper, "Name"), "caisson-keeper");
  EXPECT_EQ(KeeperOf(container), keeper);
  const Json report = Report(container);
  EXPECT_NE(report["namespaces"]["net"], HostNamespace("net"));
}

TEST_P(CgroupEscapeTest, H2WithoutAKeeperNothingRuns) {
  const std::string pod = PodBelowParent(100);
  const std::string container = Start(pod);
  kill(KeeperOf(container), SIGKILL);
  for (int i = 0; i < 5; ++i) {
    const grpc::Status exec = Exec(container, {"/caisson-probe", "report"});
    EXPECT_THAT(exec.error_code(), AnyOf(grpc::StatusCode::UNAVAILABLE,
                                         grpc::StatusCode::FAILED_PRECONDITION,
                                         grpc::StatusCode::NOT_FOUND))
        << exec.error_message();
    const grpc::Status created = TryCreate(pod, nullptr);
    EXPECT_THAT(created.error_code(),
                AnyOf(grpc::StatusCode::UNAVAILABLE,
                      grpc::StatusCode::FAILED_PRECONDITION,
                      grpc::StatusCode::NOT_FOUND))
        << created.error_message();
  }
  EXPECT_TRUE(Await([&] { return parent_->Processes().empty(); }));
}

// GHSA-5g49-rx9x-qfc6.
TEST_P(CgroupEscapeTest, H3NamesOfFilesStayInTheGroup) {
  const std::string pod = ModePod();
  const std::string running = Start(pod);
  for (const char* name :
       {"../../cgroup.procs", "memory.max/../../x", "/abs", "", "..", ".",
        "cgroup.procs", "cgroup.freeze", "cgroup.kill", "a.b/c", "../x.y", "x",
        "memory.max\n"}) {
    SCOPED_TRACE(name);
    const grpc::Status created = TryCreate(pod, [&](cri::ContainerConfig&
                                                        config) {
      (*config.mutable_linux()->mutable_resources()->mutable_unified())[name] =
          "x";
    });
    EXPECT_EQ(created.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << created.error_message();
    EXPECT_THAT(created.error_message(), HasSubstr("unified"));
    cri::UpdateContainerResourcesRequest update;
    update.set_container_id(running);
    (*update.mutable_linux()->mutable_unified())[name] = "x";
    cri::UpdateContainerResourcesResponse updated;
    EXPECT_EQ(
        Call(&Stub::UpdateContainerResources, update, updated).error_code(),
        grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_P(CgroupEscapeTest, H4AParentIsPlain) {
  for (const std::string& parent :
       {std::string("/kubepods/../../"), std::string(".."), std::string("/.."),
        std::string("a/../../b"), std::string("/x/./y"), std::string("x/.."),
        std::string("/a\nb"), std::string("x-.slice"),
        std::string("../x.slice"), std::string("/") + std::string(4096, 'x')}) {
    SCOPED_TRACE(parent);
    cri::RunPodSandboxRequest request = GoodPod("parent");
    request.set_runtime_handler(OwnUsers() ? "" : "caisson-requested");
    request.mutable_config()->mutable_linux()->set_cgroup_parent(parent);
    const grpc::Status status = RunPod(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("cgroup_parent"));
  }
}

// CVE-2023-25809.
TEST_P(CgroupEscapeTest, H5TheCgroupTreeIsReadOnly) {
  const std::string container = Start(ModePod());
  EXPECT_EQ(Sh(container, "mkdir /sys/fs/cgroup/x").exit_code, 1);
  EXPECT_EQ(Try(container, {"write", "/sys/fs/cgroup/cgroup.procs", "0"}),
            "EROFS");
}

TEST_P(CgroupEscapeTest, H6ASwarmIsStopped) {
  const std::string pod = PodBelowParent(60);
  for (int i = 0; i < 5 && !HasFailure(); ++i) {
    const std::string bomb = Start(pod, [](cri::ContainerConfig& config) {
      config.clear_command();
      config.add_command("/caisson-probe");
      config.add_command("bomb");
    });
    const std::string group = CgroupOf(bomb);
    EXPECT_TRUE(
        Await([&] { return ProcessesBelow(layout_, group).size() >= 50; }));
    EXPECT_TRUE(StopNow(bomb).ok());
    EXPECT_THAT(ProcessesBelow(layout_, group), IsEmpty());
    cri::RemoveContainerRequest remove;
    remove.set_container_id(bomb);
    cri::RemoveContainerResponse removed;
    EXPECT_TRUE(Call(&Stub::RemoveContainer, remove, removed).ok());
    for (const std::string& directory : DirectoriesOf(layout_, group)) {
      EXPECT_NE(access(directory.c_str(), F_OK), 0) << directory;
    }
  }
}

TEST_P(CgroupEscapeTest, H6AFrozenContainerIsStopped) {
  const std::string container = Start(ModePod());
  const std::string group = CgroupOf(container);
  const auto open = cgroup::Cgroup::Open(layout_, group);
  ASSERT_TRUE(open.ok()) << open.status();
  ASSERT_TRUE(open->Freeze(true).ok());
  // What can't run does not answer, and is ended in time.
  const grpc::Status status = StopNow(container);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(ProcessesBelow(layout_, group), IsEmpty());
}

}  // namespace
}  // namespace caisson::cri_test
