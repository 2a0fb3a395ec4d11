#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/unit/network/cni_fixture.h"

namespace caisson::network {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using CniTest = PluginScripts;
using Clock = std::chrono::steady_clock;

TEST_F(CniTest, AddsInOrderAndDeletesInReverse) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", kResult);
  const auto cni = Cni::Create(options_);
  absl::StatusOr<Addresses> addresses = cni->Add(pod_, deadline_);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(addresses->ips, ElementsAre("10.9.0.7"));
  EXPECT_TRUE(HasCache());
  absl::Status status = cni->Delete(pod_, deadline_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Calls(), "one ADD 0\ntwo ADD 1\ntwo DEL 1\none DEL 1\n");
  EXPECT_FALSE(HasCache());
  // Who asks again is believed: the trace of ADD may have been lost.
  pod_.netns_path.clear();
  EXPECT_TRUE(cni->Delete(pod_, deadline_).ok());
  EXPECT_THAT(Calls(), EndsWith("one DEL 1\ntwo DEL 0\none DEL 0\n"));
}

TEST_F(CniTest, DeleteUsesTheConfigurationOfAdd) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", kResult);
  ASSERT_TRUE(Cni::Create(options_)->Add(pod_, deadline_).ok());
  Configure(R"({"name": "new", "cniVersion": "1.0.0", "type": "three"})");
  // Another process: only the cache remembers.
  EXPECT_TRUE(Cni::Create(options_)->Delete(pod_, deadline_).ok());
  EXPECT_THAT(Calls(), HasSubstr("two DEL 1\none DEL 1\n"));
}

TEST_F(CniTest, FailedAddIsUndoneAndNamesThePlugin) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", R"([ $CNI_COMMAND = DEL ] && exit 0
      printf '{"code": 11, "msg": "no\\nluck", "details": "at all"}'; exit 1)");
  const absl::Status status =
      Cni::Create(options_)->Add(pod_, deadline_).status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("plugin two: ADD: no luck; at all"),
                    HasSubstr("network net")));
  EXPECT_EQ(Calls(), "one ADD 0\ntwo ADD 1\ntwo DEL 0\none DEL 0\n");
  EXPECT_FALSE(HasCache());
}

TEST_F(CniTest, FailedDeleteKeepsTheCacheAndGoesOn) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", std::string("[ $CNI_COMMAND = DEL ] && echo busy >&2 && "
                            "exit 3\n") +
                    kResult);
  const auto cni = Cni::Create(options_);
  ASSERT_TRUE(cni->Add(pod_, deadline_).ok());
  EXPECT_THAT(std::string(cni->Delete(pod_, deadline_).message()),
              HasSubstr("exit status 3: busy"));
  EXPECT_THAT(Calls(), HasSubstr("one DEL"));
  EXPECT_TRUE(HasCache());
}

TEST_F(CniTest, AHangingPluginIsKilledWithItsChildren) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "slow"})");
  Plugin("slow", "[ $CNI_COMMAND = DEL ] && exit 0\nsleep 300 & sleep 300");
  options_.timeout = absl::Milliseconds(300);
  const auto start = Clock::now();
  EXPECT_EQ(Cni::Create(options_)->Add(pod_, deadline_).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

TEST_F(CniTest, AGrandchildMayKeepTheOutputOpen) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "leaky"})");
  Plugin("leaky", std::string("sleep 2 &\n") + kResult);
  const auto start = Clock::now();
  const absl::Status status =
      Cni::Create(options_)->Add(pod_, deadline_).status();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(1500));
}

TEST_F(CniTest, OutputIsBounded) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "chatty"})");
  Plugin("chatty",
         "[ $CNI_COMMAND = DEL ] && exit 0\n"
         "head -c 3000000 /dev/zero");
  EXPECT_EQ(Cni::Create(options_)->Add(pod_, deadline_).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(CniTest, PluginsInheritNothing) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "nosy"})");
  Plugin("nosy", absl::StrCat("env | cut -d= -f1 | sort | tr '\\n' ' ' > ",
                              root_, "/env\nls /proc/self/fd | wc -l > ", root_,
                              "/fds\npwd > ", root_, "/pwd\n", kResult));
  setenv("SECRET_OF_THE_DAEMON", "1", 1);
  ASSERT_TRUE(Cni::Create(options_)->Add(pod_, deadline_).ok());
  std::ifstream env(root_ + "/env");
  std::string names;
  std::getline(env, names);
  EXPECT_THAT(names, HasSubstr("CNI_COMMAND"));
  EXPECT_THAT(names, Not(HasSubstr("SECRET")));
  std::ifstream fds(root_ + "/fds");
  int count = 0;
  fds >> count;
  // 0, 1, 2 and the directory that ls reads.
  EXPECT_LE(count, 4);
  std::ifstream pwd(root_ + "/pwd");
  std::string directory;
  std::getline(pwd, directory);
  EXPECT_EQ(directory, "/");
}

TEST_F(CniTest, ReadinessFollowsTheDirectory) {
  const auto cni = Cni::Create(options_);
  EXPECT_EQ(cni->CheckReady().code(), absl::StatusCode::kNotFound);
  Configure("{");
  EXPECT_EQ(cni->CheckReady().code(), absl::StatusCode::kInvalidArgument);
  ConfigureTwo();
  EXPECT_THAT(std::string(cni->CheckReady().message()),
              HasSubstr("find network plugin one"));
  Plugin("one", kResult);
  Plugin("two", kResult);
  EXPECT_TRUE(cni->CheckReady().ok());
  // An earlier file wins.
  std::ofstream(root_ + "/conf/05-x.conf") << "[]";
  EXPECT_FALSE(cni->CheckReady().ok());
}

}  // namespace
}  // namespace caisson::network
