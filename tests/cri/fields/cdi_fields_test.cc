#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/cri/fields/fields_fixture.h"

// CDI_devices: what a spec on the host does to a container that asks for its
// devices.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class CdiFieldsTest : public FieldsTest {
 protected:
  void SetUp() override {
    FieldsTest::SetUp();
    fs::create_directory(directory_ + "/hooks");
  }

  void TearDown() override {
    FieldsTest::TearDown();
    std::error_code error;
    fs::remove(directory_ + "/cdi/test.yaml", error);
    fs::remove_all(directory_ + "/hooks", error);
  }

  // The edits of the one device, test.com/card=0, as lines of YAML.
  void Spec(const std::string& edits) {
    std::string text =
        "cdiVersion: 1.1.0\nkind: test.com/card\ndevices:\n"
        "- name: \"0\"\n  containerEdits:\n";
    for (const absl::string_view line : absl::StrSplit(edits, '\n')) {
      absl::StrAppend(&text, "    ", line, "\n");
    }
    std::ofstream(directory_ + "/cdi/test.yaml") << text;
  }

  // A hook of the spec: a script of this host, DIR standing for the directory
  // of what it leaves.
  std::string Hook(const std::string& moment, const std::string& script,
                   const std::string& more = "") {
    const std::string path = directory_ + "/hooks/" + moment;
    std::ofstream(path) << "#!/bin/sh\n"
                        << absl::StrReplaceAll(script,
                                               {{"DIR", directory_ + "/hooks"}})
                        << "\n";
    chmod(path.c_str(), 0755);
    return absl::StrCat("- hookName: ", moment, "\n  path: ", path,
                        "\n  args: [", moment, "]\n", more);
  }

  std::string Dumped(const std::string& name) {
    const std::ifstream file(directory_ + "/hooks/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  static void Ask(cri::ContainerConfig& config) {
    config.add_cdi_devices()->set_name("test.com/card=0");
  }
};

TEST_F(CdiFieldsTest, EnvironmentNodesMountsAndGroupsAreThere) {
  std::ofstream(directory_ + "/hooks/library") << "of the host\n";
  Spec(
      absl::StrCat("env: [CARD=0, CHANGED=by-card]\n"
                   "additionalGids: [44, 0]\n"
                   "deviceNodes:\n"
                   "- {path: /dev/card0, hostPath: /dev/zero, type: c,"
                   " major: 1, minor: 5, permissions: r}\n"
                   "mounts:\n"
                   "- hostPath: ",
                   directory_,
                   "/hooks\n"
                   "  containerPath: /opt/card\n"
                   "  options: [ro, nosuid, nodev, rbind, rprivate]"));
  for (const char* handler : {"", "caisson-requested"}) {
    const std::string container = Start(Pod(nullptr, handler), [](auto& it) {
      Ask(it);
      cri::KeyValue& env = *it.add_envs();
      env.set_key("CHANGED");
      env.set_value("by-pod");
    });
    const std::string env = Read(container, "/proc/1/environ");
    EXPECT_THAT(env, HasSubstr("CARD=0"));
    EXPECT_THAT(env, AllOf(HasSubstr("CHANGED=by-card"),
                           Not(HasSubstr("CHANGED=by-pod"))));
    EXPECT_EQ(Try(container, {"open", "/dev/card0", "r"}), "OK");
    EXPECT_EQ(Read(container, "/opt/card/library"), "of the host");
    EXPECT_EQ(Try(container, {"write", "/opt/card/new", "x"}), "EROFS");
    const std::vector<int> groups = Report(container)["groups"];
    EXPECT_THAT(groups, Contains(44));
  }
}

// With ids of the host, where the filter alone decides.
TEST_F(CdiFieldsTest, NodesHaveThePermissionsOfTheSpec) {
  Spec("deviceNodes: [{path: /dev/kmsg, permissions: r}]");
  const std::string container =
      Start(Pod(nullptr, "caisson-requested"), [](auto& it) {
        Ask(it);
        it.mutable_linux()
            ->mutable_security_context()
            ->mutable_capabilities()
            ->add_add_capabilities("SYSLOG");
      });
  EXPECT_EQ(Try(container, {"open", "/dev/kmsg", "r"}), "OK");
  EXPECT_EQ(Try(container, {"open", "/dev/kmsg", "w"}), "EPERM");
}

TEST_F(CdiFieldsTest, NodesHaveTheOwnerAndModeOfTheSpec) {
  Spec(
      "deviceNodes:\n"
      "- {path: /dev/named, hostPath: /dev/zero, uid: 7, gid: 8,"
      " fileMode: 416}\n"
      "- {path: /dev/users, hostPath: /dev/zero}");
  for (const char* handler : {"", "caisson-requested"}) {
    const std::string container = Start(Pod(nullptr, handler), [](auto& it) {
      Ask(it);
      auto& security = *it.mutable_linux()->mutable_security_context();
      security.mutable_run_as_user()->set_value(1000);
      security.mutable_run_as_group()->set_value(1001);
    });
    const Json named = Probe(container, {"stat", "/dev/named"});
    EXPECT_EQ(named["uid"], 7);
    EXPECT_EQ(named["gid"], 8);
    EXPECT_EQ(named["mode"], 0640);
    EXPECT_EQ(named["rdev_minor"], 5);
    const Json users = Probe(container, {"stat", "/dev/users"});
    EXPECT_EQ(users["uid"], 1000);
    EXPECT_EQ(users["gid"], 1001);
    EXPECT_EQ(Try(container, {"open", "/dev/users", "r"}), "OK");
  }
  struct stat host = {};
  ASSERT_EQ(stat("/dev/zero", &host), 0);
  EXPECT_EQ(host.st_uid, 0u);
}

TEST_F(CdiFieldsTest, AnnotationsAskAsWell) {
  Spec("env: [CARD=0]");
  const std::string container = Start(Pod(), [](auto& it) {
    (*it.mutable_annotations())["cdi.k8s.io/plugin_1"] = "test.com/card=0";
  });
  EXPECT_THAT(Read(container, "/proc/1/environ"), HasSubstr("CARD=0"));
}

TEST_F(CdiFieldsTest, WhatCannotBeHadIsSaid) {
  const std::string pod = Pod();
  const std::vector<std::string> before = Footprint();
  const auto refusal = [&] {
    const grpc::Status status = TryCreate(pod, Ask);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    return status.error_message();
  };
  EXPECT_THAT(refusal(), AllOf(HasSubstr("test.com/card=0"),
                               HasSubstr(directory_ + "/cdi")));
  Spec("deviceNodes: [{path: /dev/no-such-card}]");
  EXPECT_THAT(refusal(), HasSubstr("/dev/no-such-card No such file"));
  Spec("deviceNodes: [{path: /dev/card0, hostPath: /dev/zero, major: 9}]");
  EXPECT_THAT(refusal(), HasSubstr("is device c 1:5"));
  Spec("deviceNodes: [{path: /etc/passwd}]");
  EXPECT_THAT(refusal(), HasSubstr("is no device"));
  Spec("hooks:\n" + Hook("createContainer", "exit 0"));
  EXPECT_THAT(refusal(), HasSubstr("hook createContainer"));
  Spec("mounts: [{hostPath: /tmp, containerPath: /proc/sys}]");
  const grpc::Status bad = TryCreate(pod, Ask);
  EXPECT_EQ(bad.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(bad.error_message(), HasSubstr("/proc/sys"));
  const grpc::Status name =
      TryCreate(pod, [](auto& it) { it.add_cdi_devices()->set_name("card0"); });
  EXPECT_EQ(name.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Footprint(), before);
}

// Hooks of the host get nothing from an image (CVE-2025-23266).
TEST_F(CdiFieldsTest, HooksHaveTheirOwnEnvironmentAndNoFiles) {
  constexpr char kHostile[] = "docker.io/library/caisson-hostile-env:latest";
  Pull(kHostile);
  Spec("hooks:\n" + Hook("createRuntime", R"(/bin/cat >DIR/state
/bin/cat /proc/$$/environ >DIR/env
pwd -P >DIR/cwd
for fd in /proc/$$/fd/*; do /bin/readlink $fd; done >DIR/fds
/bin/readlink /proc/$$/root /proc/$$/ns/mnt >DIR/place)",
                         "  env: [CARD_HOOK=1]\n"));
  const std::string container = Start(Pod(), [&](auto& it) {
    Ask(it);
    it.mutable_image()->set_image(kHostile);
    cri::KeyValue& env = *it.add_envs();
    env.set_key("LD_AUDIT");
    env.set_value("./x.so");
  });
  // The image has it, so it is the container's.
  EXPECT_THAT(Read(container, "/proc/1/environ"),
              HasSubstr("LD_PRELOAD=./x.so"));
  EXPECT_EQ(Dumped("env"), std::string("CARD_HOOK=1\0", 12));
  EXPECT_EQ(Dumped("cwd"), "/\n");
  EXPECT_EQ(Dumped("place"),
            absl::StrCat("/\nmnt:[", HostNamespace("mnt"), "]\n"));
  // Its three, and those the shell has for the script and its output.
  const std::vector<std::string> fds =
      absl::StrSplit(Dumped("fds"), '\n', absl::SkipEmpty());
  EXPECT_GE(fds.size(), 3u);
  for (const std::string& fd : fds) {
    EXPECT_THAT(fd, testing::AnyOf(HasSubstr("/memfd:input"),
                                   testing::StartsWith("pipe:["),
                                   HasSubstr(directory_ + "/hooks/")));
  }
  const Json state = Json::parse(Dumped("state"), nullptr, false);
  ASSERT_FALSE(state.is_discarded());
  EXPECT_EQ(state["id"], container);
  EXPECT_EQ(state["pid"], PidOf(container));
  EXPECT_EQ(state["status"], "creating");
}

TEST_F(CdiFieldsTest, HooksRunAtTheirMoments) {
  const std::string log = directory_ + "/hooks/log";
  std::string hooks = "hooks:\n";
  for (const char* moment :
       {"poststop", "poststart", "createRuntime", "prestart"}) {
    hooks += Hook(moment,
                  absl::StrCat("echo ", moment,
                               " $(cat | sed "
                               "'s/.*\"status\":\"//; s/\".*//') >>",
                               log),
                  "  env: [\"PATH=/usr/bin:/bin\"]\n");
  }
  Spec(hooks);
  const std::string container = Start(Pod(), Ask);
  EXPECT_EQ(Dumped("log"),
            "prestart creating\ncreateRuntime creating\npoststart running\n");
  cri::RemoveContainerRequest request;
  request.set_container_id(container);
  cri::RemoveContainerResponse response;
  EXPECT_TRUE(
      Call(&cri::RuntimeService::Stub::RemoveContainer, request, response)
          .ok());
  EXPECT_THAT(Dumped("log"), testing::EndsWith("poststop stopped\n"));
}

TEST_F(CdiFieldsTest, AHookThatFailsOrHangsLeavesNothing) {
  const std::string pod = Pod();
  const std::vector<std::string> before = Footprint();
  const std::string after =
      Hook("poststop", absl::StrCat("echo gone >>", directory_, "/hooks/log"));
  Spec("hooks:\n" + Hook("createRuntime", "echo no card >&2; exit 7") + after);
  const grpc::Status failed = TryCreate(pod, Ask);
  EXPECT_EQ(failed.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(failed.error_message(),
              AllOf(HasSubstr("hook createRuntime"),
                    HasSubstr("exit status 7: no card")));
  EXPECT_EQ(Footprint(), before);
  EXPECT_EQ(Dumped("log"), "gone\n");
  const absl::Time start = absl::Now();
  Spec("hooks:\n" +
       Hook("prestart",
            absl::StrCat("echo $$ >", directory_, "/hooks/pid; sleep 100"),
            "  timeout: 1\n  env: [\"PATH=/usr/bin:/bin\"]\n"));
  const grpc::Status hung = TryCreate(pod, Ask);
  EXPECT_EQ(hung.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_FALSE(fs::exists(
      "/proc/" + std::string(absl::StripAsciiWhitespace(Dumped("pid")))));
  EXPECT_EQ(Footprint(), before);
}

}  // namespace
}  // namespace caisson::cri_test
