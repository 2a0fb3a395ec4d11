#include "runtime/cgroup/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/cgroup/systemd.h"

namespace caisson::cgroup {
namespace {

using ::testing::HasSubstr;

TEST(WeightOfSharesTest, FollowsTheQuadraticFormula) {
  EXPECT_EQ(WeightOfShares(0), 1u);
  EXPECT_EQ(WeightOfShares(2), 1u);
  EXPECT_EQ(WeightOfShares(1024), 100u);
  EXPECT_EQ(WeightOfShares(262144), 10000u);
  EXPECT_EQ(WeightOfShares(~uint64_t{0}), 10000u);
  uint64_t last = 0;
  for (uint64_t shares = 2; shares <= 262144; ++shares) {
    const uint64_t weight = WeightOfShares(shares);
    ASSERT_GE(weight, last) << shares;
    last = weight;
  }
}

TEST(ExpandSliceTest, NamesTheParents) {
  EXPECT_EQ(*ExpandSlice("a.slice"), "a.slice");
  EXPECT_EQ(*ExpandSlice("kubepods-burstable-pod1_2.slice"),
            "kubepods.slice/kubepods-burstable.slice/"
            "kubepods-burstable-pod1_2.slice");
  EXPECT_EQ(*ExpandSlice("/a.slice/a-b.slice"), "a.slice/a-b.slice");
  EXPECT_EQ(*ExpandSlice("-.slice"), "");
  for (const char* wrong : {"", "a", "a.scope", ".slice", "a--b.slice",
                            "-a.slice", "a-.slice", "a.slice/"}) {
    EXPECT_FALSE(ExpandSlice(wrong).ok()) << wrong;
  }
}

// Plain files in place of a pure v2 hierarchy: what is written where.
class V2FilesTest : public ::testing::Test {
 protected:
  V2FilesTest() {
    std::string name = testing::TempDir() + "/cgroupXXXXXX";
    layout_.unified = mkdtemp(name.data());
  }

  ~V2FilesTest() override {
    std::error_code error;
    std::filesystem::remove_all(layout_.unified, error);
  }

  Cgroup Make() {
    absl::StatusOr<Cgroup> cgroup = Cgroup::Create(layout_, "a/b");
    EXPECT_TRUE(cgroup.ok()) << cgroup.status();
    return *std::move(cgroup);
  }

  void Touch(const std::string& file) {
    std::ofstream(layout_.unified + "/a/b/" + file) << "";
  }

  std::string Read(const std::string& file) {
    std::ifstream in(layout_.unified + "/a/b/" + file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  Layout layout_;
};

TEST_F(V2FilesTest, WritesTheValuesOfV2) {
  Cgroup cgroup = Make();
  for (const char* file :
       {"cpu.weight", "cpu.max", "memory.max", "memory.swap.max", "pids.max",
        "cpuset.cpus", "memory.high"}) {
    Touch(file);
  }
  Limits limits;
  limits.cpu_shares = 1024;
  limits.cpu_quota = 50000;
  limits.memory_bytes = 64 << 20;
  limits.swap_bytes = 80 << 20;
  limits.pids = -1;
  limits.cpuset_cpus = "0";
  limits.unified["memory.high"] = "12345";
  const absl::Status status = cgroup.Apply(limits);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Read("cpu.weight"), "100");
  EXPECT_EQ(Read("cpu.max"), "50000 100000");
  EXPECT_EQ(Read("memory.max"), "67108864");
  EXPECT_EQ(Read("memory.swap.max"), "16777216");
  EXPECT_EQ(Read("pids.max"), "max");
  EXPECT_EQ(Read("cpuset.cpus"), "0");
  EXPECT_EQ(Read("memory.high"), "12345");
}

TEST_F(V2FilesTest, MissingFilesAreNamed) {
  Cgroup cgroup = Make();
  Limits limits;
  limits.pids = 5;
  EXPECT_THAT(cgroup.Apply(limits).message(), HasSubstr("pids.max"));
  // The kubelet's habit: every page size with 0.
  limits = Limits();
  limits.hugetlb["2MB"] = 0;
  EXPECT_TRUE(cgroup.Apply(limits).ok());
  limits.hugetlb["2MB"] = 1 << 21;
  EXPECT_FALSE(cgroup.Apply(limits).ok());
}

TEST_F(V2FilesTest, RefusesFilesOutsideTheCgroup) {
  Cgroup cgroup = Make();
  for (const char* file : {"../memory.max", "cgroup.procs", "", "..",
                           "memory/max", "memory.max\n", "tasks"}) {
    Limits limits;
    limits.unified[file] = "1";
    EXPECT_EQ(cgroup.Apply(limits).code(), absl::StatusCode::kInvalidArgument)
        << file;
  }
}

TEST_F(V2FilesTest, SwapIsNotLessThanMemory) {
  Cgroup cgroup = Make();
  Limits limits;
  limits.memory_bytes = 100;
  limits.swap_bytes = 99;
  EXPECT_EQ(cgroup.Apply(limits).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(V2FilesTest, RefusesPathsThatLeaveTheTree) {
  for (const char* path : {"", "/", "/a", "a/", "a//b", "a/../b", ".", "..",
                           "a/./b", "a\nb", "cgroup.procs"}) {
    EXPECT_EQ(Cgroup::Create(layout_, path).status().code(),
              absl::StatusCode::kInvalidArgument)
        << path;
  }
}

TEST_F(V2FilesTest, OpenFindsOnlyWhatIsThere) {
  EXPECT_EQ(Cgroup::Open(layout_, "nothing").status().code(),
            absl::StatusCode::kNotFound);
  Make();
  EXPECT_TRUE(Cgroup::Open(layout_, "a/b").ok());
}

}  // namespace
}  // namespace caisson::cgroup
