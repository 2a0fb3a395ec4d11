#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/cri/fixture/life_fixture.h"
#include "tests/cri/fixture/list_watch.h"
#include "tests/support/machine.h"

// Network plugins that hang or fail.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// How long a plugin may run, of the configuration below.
constexpr absl::Duration kPluginTime = absl::Seconds(4);

// Behind the bridge stands a plugin that does as files beside it say: by then
// an address is taken.
constexpr char kPlugin[] = R"(#!/bin/bash
input=$(cat)
case $CNI_COMMAND in
  VERSION)
    echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'
    exit ;;
esac
if [ -e DIR/hang-$CNI_COMMAND ]; then
  echo $$ >>DIR/hanging
  sleep 1000
fi
if [ -e DIR/fail-$CNI_COMMAND ]; then
  echo '{"cniVersion":"1.0.0","code":100,"msg":"no cable"}'
  exit 1
fi
[ $CNI_COMMAND = ADD ] && jq .prevResult <<<"$input"
exit 0
)";

class HungNetworkTest : public LifeTest {
 protected:
  void SetUp() override {
    LifeTest::SetUp();
    place_ = directory_ + "/plugin";
    fs::create_directory(place_);
    const std::string plugin = place_ + "/test-cable";
    std::ofstream(plugin) << absl::StrReplaceAll(kPlugin, {{"DIR", place_}});
    chmod(plugin.c_str(), 0755);
    network_ = testing::ReadFile(Network());
    configuration_ = testing::ReadFile(directory_ + "/config.toml");
    std::ofstream(Network())
        << absl::StrReplaceAll(network_, {{"{\"type\": \"portmap\"",
                                           "{\"type\": \"test-cable\"},\n"
                                           "  {\"type\": \"portmap\""}});
    std::ofstream(directory_ + "/config.toml") << absl::StrReplaceAll(
        configuration_,
        {{"[cni]\n", absl::StrCat("[cni]\nbin_dirs = [\"", place_,
                                  "\", \"/opt/cni/bin\", \"/usr/lib/cni\"]\n"
                                  "timeout_seconds = ",
                                  absl::ToInt64Seconds(kPluginTime), "\n")}});
    RestartByKill();
  }

  void TearDown() override {
    for (const char* flag : {"hang-ADD", "hang-DEL", "fail-ADD", "fail-DEL"}) {
      Clear(flag);
    }
    LifeTest::TearDown();
    std::ofstream(directory_ + "/config.toml") << configuration_;
    std::ofstream(Network()) << network_;
    std::error_code error;
    fs::remove_all(place_, error);
  }

  std::string Network() const { return directory_ + "/cni/10-bridge.conflist"; }

  // What the plugin does from now on, and no more.
  void Set(const std::string& flag) {
    std::ofstream(place_ + "/" + flag) << flag;
  }

  void Clear(const std::string& flag) {
    std::error_code error;
    fs::remove(place_ + "/" + flag, error);
  }

  bool Hangs() { return fs::exists(place_ + "/hanging"); }

  struct Answer {
    grpc::Status status;
    std::string id;
    absl::Duration took;
  };

  std::future<Answer> BeginPod(const std::string& name, absl::Duration time) {
    return Aside([this, name, time] {
      CriClient client(daemon_->SocketPath());
      const absl::Time begin = absl::Now();
      Answer answer;
      answer.status = client.RunPod(Request(name, true), &answer.id, time);
      answer.took = absl::Now() - begin;
      return answer;
    });
  }

  std::string place_;
  std::string network_;
  std::string configuration_;
};

TEST_F(HungNetworkTest, AnAddThatHangsIsAnsweredInTimeAndUndone) {
  Set("hang-ADD");
  constexpr absl::Duration kTime = absl::Seconds(2);
  const Answer answer = BeginPod("hung", kTime).get();
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("attach network for"));
  EXPECT_LT(answer.took, kTime + absl::Seconds(1));
  EXPECT_TRUE(Hangs());
  EXPECT_THAT(leftovers_->FindAfter(3 * kPluginTime), IsEmpty());
  std::vector<cri::PodSandbox> pods;
  EXPECT_TRUE(client_->Pods(&pods).ok());
  EXPECT_TRUE(pods.empty());
}

TEST_F(HungNetworkTest, ARetryJoinsOrSucceeds) {
  Set("hang-ADD");
  EXPECT_FALSE(BeginPod("hung", absl::Seconds(2)).get().status.ok());
  Clear("hang-ADD");
  // The first one's plugin hangs on until its time is over: the retry gets
  // what became of it.  The next is on its own.
  std::string first;
  Answer answer;
  for (int tries = 0; tries < 3 && answer.id.empty(); ++tries) {
    answer = BeginPod("hung", absl::Seconds(60)).get();
    EXPECT_NE(answer.status.error_code(), grpc::StatusCode::ALREADY_EXISTS)
        << answer.status.error_message();
  }
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(leftovers_->Addresses().size(), 1u);
  // And once more, as if this answer had been lost.
  const Answer again = BeginPod("hung", absl::Seconds(60)).get();
  EXPECT_EQ(again.id, answer.id) << again.status.error_message();
  EXPECT_EQ(Output(Container(answer.id, "app"), {"echo", "well"}), "well\n");
}

// More than there are threads for: pods of the host's network, as the agent of
// the network itself is, start beside them.
TEST_F(HungNetworkTest, ManyThatHangLeaveTheHostsNetworkAlone) {
  Set("hang-ADD");
  std::vector<std::future<Answer>> hung;
  for (int i = 0; i < 24; ++i) {
    hung.push_back(BeginPod(absl::StrCat("hung", i), absl::Seconds(3)));
  }
  ASSERT_TRUE(Await([&] { return Hangs(); }));
  ListWatch watch(daemon_->SocketPath());
  for (int i = 0; i < 5; ++i) {
    const absl::Time begin = absl::Now();
    const std::string pod = Pod(absl::StrCat("agent", i));
    EXPECT_EQ(Output(Container(pod, "app"), {"echo", "well"}), "well\n");
    EXPECT_LT(absl::Now() - begin, OnThisMachine(absl::Seconds(1)));
    EXPECT_TRUE(client_->StopPod(pod).ok());
  }
  for (std::future<Answer>& pod : hung) {
    const Answer answer = pod.get();
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_LT(answer.took, absl::Seconds(4));
  }
  ExpectQuick(watch.Stop(), 100, "beside 24 plugins that hang");
  Clear("hang-ADD");
  // Those that waited for a thread are made now: whoever asked may ask again.
  EXPECT_TRUE(Await(
      [&] {
        RemoveAll();
        return leftovers_->Find().empty();
      },
      absl::Seconds(90)));
}

TEST_F(HungNetworkTest, WhatCannotBeUndoneIsKeptAndUndoneLater) {
  Set("fail-ADD");
  Set("fail-DEL");
  const Answer answer = BeginPod("cut", absl::Seconds(30)).get();
  EXPECT_FALSE(answer.status.ok());
  EXPECT_THAT(answer.status.error_message(), HasSubstr("no cable"));
  const auto is_listed = [&] {
    std::vector<cri::PodSandbox> pods;
    return client_->Pods(&pods).ok() && pods.size() == 1 &&
           pods[0].metadata().name() == "cut" &&
           pods[0].state() == cri::SANDBOX_NOTREADY;
  };
  EXPECT_TRUE(is_listed());
  RestartByKill();
  EXPECT_TRUE(Await(is_listed));
  // Still after it was tried again.
  absl::SleepFor(absl::Seconds(3));
  EXPECT_TRUE(is_listed());
  EXPECT_THAT(leftovers_->Find(), ::testing::Not(IsEmpty()));
  Clear("fail-ADD");
  Clear("fail-DEL");
  EXPECT_THAT(leftovers_->FindAfter(absl::Seconds(40)), IsEmpty());
  EXPECT_FALSE(is_listed());
}

TEST_F(HungNetworkTest, ADeleteThatHangsIsAnsweredInTimeAndDoneLater) {
  const std::string pod = Pod("hung", true);
  const std::string container = Container(pod, "app");
  Set("hang-DEL");
  const absl::Time begin = absl::Now();
  const grpc::Status stopped = client_->StopPod(pod, absl::Seconds(2));
  EXPECT_EQ(stopped.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(stopped.error_message(), HasSubstr(" for "));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  // Its containers have ended first.
  cri::ContainerStatusResponse status;
  EXPECT_TRUE(client_->ContainerStatus(container, &status).ok());
  EXPECT_EQ(status.status().state(), cri::CONTAINER_EXITED);
  EXPECT_FALSE(leftovers_->Addresses().empty());
  Clear("hang-DEL");
  EXPECT_TRUE(Await([&] { return leftovers_->Addresses().empty(); },
                    3 * kPluginTime + absl::Seconds(10)))
      << "DEL is not done again by itself";
}

}  // namespace
}  // namespace caisson::cri_test
