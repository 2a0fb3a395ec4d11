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
#include "tests/cri/fields/cdi_fixture.h"

// CDI_devices: what a spec on the host does to a container that asks for its
// devices.
namespace caisson::cri_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

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
  Spec("netDevices: [{hostInterfaceName: no-such-link, name: net1}]");
  EXPECT_THAT(refusal(), HasSubstr("network device no-such-link"));
  Spec("mounts: [{hostPath: /tmp, containerPath: /proc/sys}]");
  const grpc::Status bad = TryCreate(pod, Ask);
  EXPECT_EQ(bad.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(bad.error_message(), HasSubstr("/proc/sys"));
  const grpc::Status name =
      TryCreate(pod, [](auto& it) { it.add_cdi_devices()->set_name("card0"); });
  EXPECT_EQ(name.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Footprint(), before);
}

}  // namespace
}  // namespace caisson::cri_test
