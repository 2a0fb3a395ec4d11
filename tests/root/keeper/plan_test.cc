#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/keeper_fixture.h"

namespace caisson::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// Field 1023, a number: 1.
constexpr char kUnknownField[] = "\xf8\x3f\x01";

template <typename Message>
void AddUnknownField(Message& message) {
  ASSERT_TRUE(
      message.ParseFromString(message.SerializeAsString() + kUnknownField));
}

class PlanTest : public KeeperFixture {};

TEST_F(PlanTest, APlanWithAnUnknownFieldIsRefusedBeforeAnything) {
  auto pod = PodPlan();
  AddUnknownField(*pod.message.mutable_uids(0));
  absl::Status status = keeper_->CreatePod(std::move(pod), Soon()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("unknown field 1023 of IdExtent"));
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());

  auto container = ContainerPlan("c", {"true"});
  AddUnknownField(*container.message.add_mounts());
  status = keeper_->CreateContainer(std::move(container), Soon()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("unknown field 1023 of Mount"));
  EXPECT_EQ(Run({"echo", "hello"}), "hello\n");
}

TEST_F(PlanTest, SysctlsAreWrittenInTheNetworkOfThePod) {
  ASSERT_TRUE(keeper_->CreatePod(PodPlan(), Soon()).ok());
  const std::string host = ReadFile("/proc/sys/net/ipv4/conf/lo/arp_notify");
  keeper::v1::WriteSysctls call;
  (*call.mutable_sysctls())["net.ipv4.conf.lo.arp_notify"] = "1";
  (*call.mutable_sysctls())["net/ipv4/conf/lo/proxy_arp"] = "1";
  const absl::Status written = keeper_->WriteSysctls(call, Soon());
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_EQ(Run({"cat", "/proc/sys/net/ipv4/conf/lo/arp_notify",
                 "/proc/sys/net/ipv4/conf/lo/proxy_arp"}),
            "1\n1\n");
  EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/conf/lo/arp_notify"), host);
  call.clear_sysctls();
  (*call.mutable_sysctls())["net.ipv4.conf.eth7.proxy_arp"] = "1";
  const absl::Status failed = keeper_->WriteSysctls(call, Soon());
  EXPECT_FALSE(failed.ok());
  EXPECT_THAT(std::string(failed.message()), HasSubstr("eth7"));
}

TEST_F(PlanTest, TheKeepersTimeIsThePods) {
  if (layout_.is_v2()) {
    GTEST_SKIP() << "cgroup v1 only";
  }
  auto plan = PodPlan();
  const std::string group = AddCgroup("pod-of-it");
  auto cgroup = cgroup::Cgroup::Open(layout_, group);
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  cgroup::Limits limits;
  limits.cpu_shares = 512;
  ASSERT_TRUE(cgroup->Apply(limits).ok());
  const std::string tasks =
      absl::StrCat(layout_.v1.at("cpu"), "/", group, "/tasks");
  plan.message.add_keeper_tasks_fds(
      plan.Attach(UniqueFd(open(tasks.c_str(), O_WRONLY | O_CLOEXEC))));
  ASSERT_TRUE(plan.fds.back().ok()) << tasks;
  const auto pod = keeper_->CreatePod(std::move(plan), Soon());
  ASSERT_TRUE(pod.ok()) << pod.status();
  const std::string groups =
      ReadFile(absl::StrCat("/proc/", keeper_pid_, "/cgroup"));
  EXPECT_THAT(groups,
              ContainsRegex(absl::StrCat("[:,]cpu(,cpuacct)?:/", group, "\n")));
  // And of the rest it is where it was.
  EXPECT_THAT(groups, HasSubstr(absl::StrCat("0::/", cgroup_, "/keepers\n")));
  EXPECT_EQ(Run({"echo", "hello"}), "hello\n");
}

}  // namespace
}  // namespace caisson::testing
