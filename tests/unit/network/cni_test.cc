#include "runtime/network/cni.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace caisson::network {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Plugins are small scripts that write down how they were called.
class CniTest : public ::testing::Test {
 protected:
  CniTest() {
    std::string name = testing::TempDir() + "/cniXXXXXX";
    root_ = mkdtemp(name.data());
    for (const char* folder : {"/conf", "/bin"}) {
      std::filesystem::create_directory(root_ + folder);
    }
    options_.conf_dir = root_ + "/conf";
    options_.bin_dirs = {root_ + "/nowhere", root_ + "/bin"};
    options_.cache_dir = root_ + "/cache/cni";
    options_.timeout = absl::Seconds(20);
    pod_.pod_id = "pod1";
    pod_.pod_name = "web";
    pod_.netns_path = "/proc/self/ns/net";
  }

  ~CniTest() override {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }

  void Configure(const std::string& text) {
    std::ofstream(root_ + "/conf/10-test.conflist") << text;
  }

  void ConfigureTwo() {
    Configure(R"({"name": "net", "cniVersion": "1.0.0",
                  "plugins": [{"type": "one"}, {"type": "two"}]})");
  }

  // Logs "name COMMAND has-previous-result" and runs `body`.
  void Plugin(const std::string& name, const std::string& body) {
    const std::string path = root_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\ninput=$(cat)\n"
                        << "case $input in *prevResult*) p=1;; *) p=0;; esac\n"
                        << "echo " << name << " $CNI_COMMAND $p >> " << root_
                        << "/calls\n"
                        << body << "\n";
    chmod(path.c_str(), 0755);
  }

  std::string Calls() {
    std::ifstream in(root_ + "/calls");
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  bool HasCache() {
    return std::filesystem::exists(options_.cache_dir + "/pod1.json");
  }

  static constexpr char kResult[] =
      R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.7/16"}]}')";

  std::string root_;
  Cni::Options options_;
  Attachment pod_;
};

TEST_F(CniTest, AddsInOrderAndDeletesInReverse) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", kResult);
  const auto cni = Cni::Create(options_);
  absl::StatusOr<Addresses> addresses = cni->Add(pod_);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(addresses->ips, ElementsAre("10.9.0.7"));
  EXPECT_TRUE(HasCache());
  absl::Status status = cni->Delete(pod_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Calls(), "one ADD 0\ntwo ADD 1\ntwo DEL 1\none DEL 1\n");
  EXPECT_FALSE(HasCache());
  pod_.netns_path.clear();
  EXPECT_TRUE(cni->Delete(pod_).ok());
  EXPECT_EQ(Calls(), "one ADD 0\ntwo ADD 1\ntwo DEL 1\none DEL 1\n");
}

TEST_F(CniTest, DeleteUsesTheConfigurationOfAdd) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", kResult);
  ASSERT_TRUE(Cni::Create(options_)->Add(pod_).ok());
  Configure(R"({"name": "new", "cniVersion": "1.0.0", "type": "three"})");
  // Another process: only the cache remembers.
  EXPECT_TRUE(Cni::Create(options_)->Delete(pod_).ok());
  EXPECT_THAT(Calls(), HasSubstr("two DEL 1\none DEL 1\n"));
}

TEST_F(CniTest, FailedAddIsUndoneAndNamesThePlugin) {
  ConfigureTwo();
  Plugin("one", kResult);
  Plugin("two", R"([ $CNI_COMMAND = DEL ] && exit 0
      printf '{"code": 11, "msg": "no\\nluck", "details": "at all"}'; exit 1)");
  const absl::Status status = Cni::Create(options_)->Add(pod_).status();
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
  ASSERT_TRUE(cni->Add(pod_).ok());
  EXPECT_THAT(std::string(cni->Delete(pod_).message()),
              HasSubstr("exit status 3: busy"));
  EXPECT_THAT(Calls(), HasSubstr("one DEL"));
  EXPECT_TRUE(HasCache());
}

TEST_F(CniTest, AHangingPluginIsKilledWithItsChildren) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "slow"})");
  Plugin("slow", "[ $CNI_COMMAND = DEL ] && exit 0\nsleep 300 & sleep 300");
  options_.timeout = absl::Milliseconds(300);
  const absl::Time start = absl::Now();
  EXPECT_EQ(Cni::Create(options_)->Add(pod_).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(CniTest, AGrandchildMayKeepTheOutputOpen) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "leaky"})");
  Plugin("leaky", std::string("sleep 2 &\n") + kResult);
  const absl::Time start = absl::Now();
  const absl::Status status = Cni::Create(options_)->Add(pod_).status();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(1500));
}

TEST_F(CniTest, OutputIsBounded) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "chatty"})");
  Plugin("chatty",
         "[ $CNI_COMMAND = DEL ] && exit 0\n"
         "head -c 3000000 /dev/zero");
  EXPECT_EQ(Cni::Create(options_)->Add(pod_).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(CniTest, PluginsInheritNothing) {
  Configure(R"({"name": "net", "cniVersion": "1.0.0", "type": "nosy"})");
  Plugin("nosy", absl::StrCat("env | cut -d= -f1 | sort | tr '\\n' ' ' > ",
                              root_, "/env\nls /proc/self/fd | wc -l > ", root_,
                              "/fds\npwd > ", root_, "/pwd\n", kResult));
  setenv("SECRET_OF_THE_DAEMON", "1", 1);
  ASSERT_TRUE(Cni::Create(options_)->Add(pod_).ok());
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
