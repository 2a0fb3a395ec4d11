#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/security/group_c_fixture.h"
#include "tests/support/machine.h"

// Rows C11 to C14: what clients and images write does not become lines of
// files that others read, nor another container's.
namespace caisson::cri_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Bytes, not escapes; the last is text, a backslash and an n.
const std::string kLineEnds[] = {"\n",       "\r",           "\v",
                                 "\xc2\x85", "\xe2\x80\xa8", "\\n"};

class TextEscapeTest : public GroupCTest {
 protected:
  grpc::Status TryPod(const std::function<void(cri::PodSandboxConfig&)>& edit) {
    cri::RunPodSandboxRequest request =
        GoodPod(absl::StrCat("text", ++number_));
    request.set_runtime_handler(OwnUsers() ? "" : "caisson-requested");
    edit(*request.mutable_config());
    return RunPod(request);
  }

  // A container that has its number in all it consists of, and odd ones a
  // capability more.
  void MakeOwn(const std::string& pod, const cri::PodSandboxConfig& config,
               int number) {
    cri::CreateContainerRequest request = GoodContainer(pod);
    *request.mutable_sandbox_config() = config;
    cri::ContainerConfig& it = *request.mutable_config();
    const std::string own =
        absl::StrCat(config.metadata().name(), "-", number, "-");
    it.mutable_metadata()->set_name(own);
    it.mutable_image()->set_image(kProbeImage);
    it.clear_command();
    it.add_command("/caisson-probe");
    it.add_command("sleep");
    it.add_envs()->set_key("SECRET");
    it.mutable_envs(0)->set_value(own);
    it.add_envs()->set_key("OF_" + own);
    (*it.mutable_labels())["own"] = own;
    (*it.mutable_annotations())[own] = own;
    if (number % 2 == 1) {
      Security(it).mutable_capabilities()->add_add_capabilities("NET_ADMIN");
    }
    std::string id;
    const grpc::Status created = CreateContainer(request, &id);
    EXPECT_TRUE(created.ok()) << created.error_message();
    cri::StartContainerRequest start;
    start.set_container_id(id);
    cri::StartContainerResponse started;
    EXPECT_TRUE(
        Call(&cri::RuntimeService::Stub::StartContainer, start, started).ok());
  }

  // Each has what it was made with, and nothing of another's.
  void ExpectAllOwn() {
    cri::ListContainersResponse all;
    EXPECT_TRUE(Call(&cri::RuntimeService::Stub::ListContainers, {}, all).ok());
    EXPECT_GE(all.containers_size(), 4);
    for (const cri::Container& it : all.containers()) {
      const std::string& own = it.metadata().name();
      EXPECT_EQ(it.labels().at("own"), own);
      EXPECT_EQ(it.annotations().size(), 1u);
      EXPECT_EQ(it.annotations().count(own), 1u);
      const std::string proc = absl::StrCat("/proc/", PidOf(it.id()));
      std::vector<std::string> secrets;
      for (absl::string_view variable : absl::StrSplit(
               ::caisson::testing::ReadFile(proc + "/environ"), '\0')) {
        // All of the pod have its name.
        if (absl::StrContains(variable, "at-once") &&
            !absl::StartsWith(variable, "HOSTNAME=")) {
          secrets.emplace_back(variable);
        }
      }
      EXPECT_THAT(secrets, ElementsAre("SECRET=" + own, "OF_" + own + "="));
      const std::string status = ::caisson::testing::ReadFile(proc + "/status");
      const std::string effective =
          status.substr(status.find("CapEff:\t") + 8, 16);
      const bool odd = (own[own.size() - 2] - '0') % 2 == 1;
      EXPECT_EQ((std::stoull(effective, nullptr, 16) >> 12 & 1) != 0, odd)
          << own << effective;
    }
  }

 private:
  int number_ = 0;
};

CAISSON_BOTH_MODES(TextEscapeTest);

std::string Home(const std::string& line_end) {
  return absl::StrCat("/root:/sbin/nologin", line_end, "root2::0:0::/:/bin/sh");
}

// CVE-2022-4318, CVE-2026-15809: nothing generates a passwd here.
TEST_P(TextEscapeTest, C11AndC12HomeIsNoLineOfPasswd) {
  const std::string pod = ModePod();
  const std::string passwd = Read(Start(pod), "/etc/passwd");
  ASSERT_THAT(passwd, HasSubstr("root:"));
  for (const std::string& line_end : kLineEnds) {
    const std::string container = Start(pod, [&](auto& it) {
      Security(it).mutable_run_as_user()->set_value(1234);
      cri::KeyValue& home = *it.add_envs();
      home.set_key("HOME");
      home.set_value(Home(line_end));
    });
    EXPECT_EQ(Read(container, "/etc/passwd"), passwd);
    const std::vector<std::string> environment =
        Report(container)["environment"];
    EXPECT_THAT(environment, Contains("HOME=" + Home(line_end)));
  }
}

TEST_P(TextEscapeTest, C11AndC12HomeOfAnImageIsNoLineOfPasswd) {
  const std::string end = OwnUsers() ? "\n" : "\r";
  const std::string image = Image(
      Json::array(),
      {{"Entrypoint", {"/caisson-probe"}}, {"Env", {"HOME=" + Home(end)}}});
  const std::string pod = ModePod();
  const std::string passwd = Read(Start(pod), "/etc/passwd");
  const std::string container = Start(pod, [&](auto& it) {
    it.mutable_image()->set_image(image);
    Security(it).mutable_run_as_user()->set_value(1234);
  });
  EXPECT_EQ(Read(container, "/etc/passwd"), passwd);
}

// The other way round: a line of the image's passwd becomes HOME.
TEST_P(TextEscapeTest, C12HomeOfThePasswdIsAPathOrTheRoot) {
  const std::string image =
      Image({{{"name", "etc/passwd"},
              {"data",
               "good:x:1:1::/good:/bin/sh\nvt:x:2:2::/a\vb:/bin/sh\n"
               "esc:x:3:3::/a\x1b[2J:/bin/sh\nrel:x:4:4::a/b:/bin/sh\n"
               "cr:x:5:5::/a\rb:/bin/sh\n"},
              {"mode", "0644"}}},
            {{"Entrypoint", {"/caisson-probe"}}});
  const std::string pod = ModePod();
  for (const auto& [user, home] :
       {std::pair("good", "/good"), std::pair("vt", "/"), std::pair("esc", "/"),
        std::pair("rel", "/"), std::pair("cr", "/")}) {
    const std::string container = Start(pod, [&, name = user](auto& it) {
      it.mutable_image()->set_image(image);
      Security(it).set_run_as_username(name);
    });
    const std::vector<std::string> environment =
        Report(container)["environment"];
    EXPECT_THAT(environment, Contains(absl::StrCat("HOME=", home))) << user;
  }
}

struct BadText {
  const char* field;
  void (*set)(cri::PodSandboxConfig&, const std::string&);
};

// Each becomes a part of a file, of a path or of a plugin's environment.
constexpr BadText kPodTexts[] = {
    {"config.metadata.name",
     [](auto& it, auto& text) { it.mutable_metadata()->set_name(text); }},
    {"config.metadata.namespace",
     [](auto& it, auto& text) { it.mutable_metadata()->set_namespace_(text); }},
    {"config.metadata.uid",
     [](auto& it, auto& text) { it.mutable_metadata()->set_uid(text); }},
    {"config.hostname", [](auto& it, auto& text) { it.set_hostname(text); }},
    {"config.log_directory",
     [](auto& it, auto& text) { it.set_log_directory("/var/tmp/" + text); }},
    {"config.dns_config.servers",
     [](auto& it, auto& text) { it.mutable_dns_config()->add_servers(text); }},
    {"config.dns_config.searches",
     [](auto& it, auto& text) { it.mutable_dns_config()->add_searches(text); }},
    {"config.dns_config.options",
     [](auto& it, auto& text) { it.mutable_dns_config()->add_options(text); }},
    {"config.linux.sysctls",
     [](auto& it, auto& text) {
       (*it.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = text;
     }},
    {"config.linux.cgroup_parent",
     [](auto& it, auto& text) { it.mutable_linux()->set_cgroup_parent(text); }},
};

TEST_P(TextEscapeTest, C13ControlCharactersOfPodsAreRefused) {
  for (const BadText& row : kPodTexts) {
    for (const std::string& bad :
         {std::string("a\nb"), std::string("a\rb"), std::string("a\0b", 3),
          std::string("a\x1b]b"), std::string("a\x7f")}) {
      const grpc::Status status = TryPod([&](auto& it) { row.set(it, bad); });
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
          << row.field;
      EXPECT_THAT(status.error_message(), HasSubstr(row.field));
      // It goes to terminals and logs.
      for (const char c : status.error_message()) {
        EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
            << row.field;
      }
    }
  }
}

// They would end an argument of CNI_ARGS, or begin another.
TEST_P(TextEscapeTest, C13ArgumentsOfPluginsAreOneEach) {
  for (const size_t field : {0, 1, 2}) {
    for (const char* bad : {"a;K8S_POD_NAME=b", "a;b", "a=b"}) {
      const grpc::Status status =
          TryPod([&](auto& it) { kPodTexts[field].set(it, bad); });
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
          << bad << status.error_message();
      EXPECT_THAT(status.error_message(), HasSubstr(bad));
    }
  }
}

TEST_P(TextEscapeTest, C13ControlCharactersOfContainersAreRefusedOrExact) {
  const std::string pod = ModePod([](auto& it) {
    (*it.mutable_annotations())["a"] = "b\nc\x1b;d=e";
    (*it.mutable_labels())["l"] = "m\r\n";
  });
  const auto invalid = grpc::StatusCode::INVALID_ARGUMENT;
  for (const std::string& bad :
       {std::string("a\nb"), std::string("a\rb"), std::string("a\0b", 3),
        std::string("a\x1b[b")}) {
    ExpectRefused(
        pod, [&](auto& it) { it.mutable_metadata()->set_name(bad); }, invalid,
        "config.metadata.name");
    ExpectRefused(
        pod, [&](auto& it) { it.set_log_path(bad); }, invalid,
        "config.log_path");
    ExpectRefused(
        pod, [&](auto& it) { it.set_working_dir("/" + bad); }, invalid,
        "config.working_dir");
  }
  for (const std::string& key :
       {std::string("A=B"), std::string("A\0B", 3), std::string()}) {
    ExpectRefused(
        pod, [&](auto& it) { it.add_envs()->set_key(key); }, invalid,
        "config.envs");
  }
  const std::string container = Start(pod, [](auto& it) {
    cri::KeyValue& env = *it.add_envs();
    env.set_key("TEXT");
    env.set_value("a\nROOT=1\r\x1b[2J;b=c");
    (*it.mutable_annotations())["a"] = "b\nc";
  });
  const std::vector<std::string> environment = Report(container)["environment"];
  EXPECT_THAT(environment, Contains("TEXT=a\nROOT=1\r\x1b[2J;b=c"));
  EXPECT_THAT(environment, Not(Contains("ROOT=1")));
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod);
  cri::PodSandboxStatusResponse response;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::PodSandboxStatus, request, response)
          .ok());
  EXPECT_EQ(response.status().annotations().at("a"), "b\nc\x1b;d=e");
  EXPECT_EQ(response.status().labels().at("l"), "m\r\n");
}

// CVE-2021-21334.
TEST_P(TextEscapeTest, C14ContainersMadeAtOnceDoNotShare) {
  constexpr int kPods = 4;
  const char* asked = std::getenv("CAISSON_RACE_TRIES");
  const int each = (asked != nullptr ? std::atoi(asked) : 48) / kPods;
  std::vector<std::future<void>> makers;
  for (int pod = 0; pod < kPods; ++pod) {
    cri::RunPodSandboxRequest request = GoodPod(absl::StrCat("at-once", pod));
    request.set_runtime_handler(OwnUsers() ? "" : "caisson-requested");
    std::string id;
    ASSERT_TRUE(RunPod(request, &id).ok());
    makers.push_back(std::async(std::launch::async,
                                [this, id, each, config = request.config()] {
                                  for (int i = 0; i < each; ++i) {
                                    MakeOwn(id, config, i);
                                  }
                                }));
  }
  for (std::future<void>& maker : makers) {
    maker.get();
  }
  ExpectAllOwn();
}

}  // namespace
}  // namespace caisson::cri_test
