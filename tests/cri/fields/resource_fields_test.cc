#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cri/fields/fields_fixture.h"

// LinuxContainerResources: what the kernel has of each field.
namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;

class ResourceFieldsTest : public FieldsTest {
 protected:
  using Edit = std::function<void(cri::LinuxContainerResources&)>;

  std::string StartWith(const Edit& edit) {
    return Start(Pod(), [&](auto& it) {
      edit(*it.mutable_linux()->mutable_resources());
    });
  }
};

TEST_F(ResourceFieldsTest, CpuSharesAreAWeight) {
  const std::string container =
      StartWith([](auto& it) { it.set_cpu_shares(2048); });
  EXPECT_EQ(
      Limit(container, "cpu.weight", "cpu", "cpu.shares"),
      layout_.is_v2() ? absl::StrCat(cgroup::WeightOfShares(2048)) : "2048");
}

TEST_F(ResourceFieldsTest, CpuQuotaAndPeriodAreTheBandwidth) {
  const std::string container = StartWith([](auto& it) {
    it.set_cpu_quota(30000);
    it.set_cpu_period(60000);
  });
  if (layout_.is_v2()) {
    EXPECT_EQ(Limit(container, "cpu.max", "", ""), "30000 60000");
    return;
  }
  EXPECT_EQ(Limit(container, "", "cpu", "cpu.cfs_quota_us"), "30000");
  EXPECT_EQ(Limit(container, "", "cpu", "cpu.cfs_period_us"), "60000");
}

TEST_F(ResourceFieldsTest, MemoryIsLimited) {
  const std::string container =
      StartWith([](auto& it) { it.set_memory_limit_in_bytes(48 << 20); });
  EXPECT_EQ(Limit(container, "memory.max", "memory", "memory.limit_in_bytes"),
            absl::StrCat(48 << 20));
  // And it is in force: what takes more is killed.
  cri::ExecSyncRequest request;
  request.set_container_id(container);
  request.set_timeout(20);
  for (const char* argument : {"/caisson-probe", "allocate", "100000000"}) {
    request.add_cmd(argument);
  }
  cri::ExecSyncResponse response;
  ASSERT_TRUE(
      Call(&cri::RuntimeService::Stub::ExecSync, request, response).ok());
  EXPECT_EQ(response.exit_code(), 137);
}

// -1, and what the kernel shows where there is none: kubelets send both.
TEST_F(ResourceFieldsTest, NoLimitOfMemoryIsALimitToo) {
  const std::string none = layout_.is_v2() ? "max" : "9223372036854771712";
  const auto limit = [&](const std::string& container) {
    return Limit(container, "memory.max", "memory", "memory.limit_in_bytes");
  };
  const std::string container =
      StartWith([](auto& it) { it.set_memory_limit_in_bytes(-1); });
  EXPECT_EQ(limit(container), none);
  for (const int64_t lifted : {int64_t{-1}, int64_t{9223372036854771712}}) {
    cri::UpdateContainerResourcesRequest update;
    update.set_container_id(container);
    update.mutable_linux()->set_memory_limit_in_bytes(48 << 20);
    update.mutable_linux()->set_memory_swap_limit_in_bytes(48 << 20);
    cri::UpdateContainerResourcesResponse updated;
    const auto method = &cri::RuntimeService::Stub::UpdateContainerResources;
    grpc::Status status = Call(method, update, updated);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(limit(container), absl::StrCat(48 << 20));
    update.mutable_linux()->set_memory_limit_in_bytes(lifted);
    update.mutable_linux()->set_memory_swap_limit_in_bytes(lifted < 0 ? 0
                                                                      : lifted);
    status = Call(method, update, updated);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(limit(container), none);
  }
}

TEST_F(ResourceFieldsTest, SwapIsLimitedTogetherWithMemory) {
  const std::string container = StartWith([](auto& it) {
    it.set_memory_limit_in_bytes(48 << 20);
    it.set_memory_swap_limit_in_bytes(48 << 20);
  });
  const std::string value = Limit(container, "memory.swap.max", "memory",
                                  "memory.memsw.limit_in_bytes");
  // A kernel without swap accounting has no such file.
  if (!value.empty() && value[0] != '<') {
    EXPECT_EQ(value, layout_.is_v2() ? "0" : absl::StrCat(48 << 20));
  }
}

TEST_F(ResourceFieldsTest, OomScoreIsSet) {
  const std::string container =
      StartWith([](auto& it) { it.set_oom_score_adj(321); });
  EXPECT_EQ(Report(container)["oom_score_adj"], "321");
}

TEST_F(ResourceFieldsTest, CpusAndMemoryNodesAreTheSet) {
  const std::string container = StartWith([](auto& it) {
    it.set_cpuset_cpus("0");
    it.set_cpuset_mems("0");
  });
  // The process's own view.
  const std::string status = Read(container, "/proc/self/status");
  EXPECT_THAT(status, testing::HasSubstr("Cpus_allowed_list:\t0\n"));
  EXPECT_THAT(status, testing::HasSubstr("Mems_allowed_list:\t0\n"));
  EXPECT_EQ(Limit(container, "cpuset.cpus", "cpuset", "cpuset.cpus"), "0");
  EXPECT_EQ(Limit(container, "cpuset.mems", "cpuset", "cpuset.mems"), "0");
}

// Where the controller isn't handed down, what can't be had is refused.
TEST_F(ResourceFieldsTest, HugePagesAreLimited) {
  const auto limit = [](cri::ContainerConfig& it) {
    cri::HugepageLimit& pages =
        *it.mutable_linux()->mutable_resources()->add_hugepage_limits();
    pages.set_page_size("2MB");
    pages.set_limit(4 << 20);
  };
  if (!layout_.is_v2() && !layout_.v1.contains("hugetlb")) {
    EXPECT_THAT(TryCreate(Pod(), limit).error_message(),
                HasSubstr("hugetlb.2MB.max"));
    return;
  }
  const std::string container = Start(Pod(), limit);
  EXPECT_EQ(Limit(container, "hugetlb.2MB.max", "hugetlb",
                  "hugetlb.2MB.limit_in_bytes"),
            absl::StrCat(4 << 20));
}

TEST_F(ResourceFieldsTest, UnifiedFilesAreWritten) {
  const auto file = [](cri::ContainerConfig& it) {
    (*it.mutable_linux()->mutable_resources()->mutable_unified())["pids.max"] =
        "77";
  };
  if (!layout_.is_v2()) {
    EXPECT_THAT(TryCreate(Pod(), file).error_message(), HasSubstr("pids.max"));
    return;
  }
  EXPECT_EQ(Read(Start(Pod(), file), "/sys/fs/cgroup/pids.max"), "77");
}

}  // namespace
}  // namespace caisson::cri_test
