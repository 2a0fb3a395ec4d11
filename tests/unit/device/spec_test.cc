#include "runtime/device/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "runtime/device/name.h"

namespace caisson::device {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As a vendor's tool writes them.
constexpr char kYaml[] = R"(---
cdiVersion: 0.7.0
kind: vendor.com/gpu
annotations:
  vendor.com/made-by: tool
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/gpu0
      hostPath: /dev/host-gpu0
      type: c
      major: 195
      minor: 0
      fileMode: 0660
      permissions: rw
      uid: 0
      gid: 44
    additionalGids: [44, 0]
- name: all
  containerEdits:
    env: [GPU=all]
containerEdits:
  env:
  - DRIVER=1
  mounts:
  - hostPath: /usr/lib/libgpu.so
    containerPath: /usr/lib/libgpu.so
    options: [ro, nosuid, nodev, rbind, rprivate]
  hooks:
  - hookName: createRuntime
    path: /usr/bin/gpu-hook
    args: [gpu-hook, --now]
    env: [PATH=/bin]
    timeout: 3
)";

TEST(SpecTest, ReadsAllOfIt) {
  const absl::StatusOr<Spec> spec = ParseSpecText(kYaml, "/etc/cdi/v.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kind, "vendor.com/gpu");
  ASSERT_EQ(spec->devices.size(), 2u);
  const Edits& own = spec->devices[0].edits;
  EXPECT_THAT(own.groups, ElementsAre(44u));
  ASSERT_EQ(own.nodes.size(), 1u);
  EXPECT_EQ(own.nodes[0].path, "/dev/gpu0");
  EXPECT_EQ(own.nodes[0].host_path, "/dev/host-gpu0");
  EXPECT_EQ(own.nodes[0].type, 'c');
  EXPECT_EQ(own.nodes[0].major, 195);
  EXPECT_EQ(own.nodes[0].minor, 0);
  EXPECT_EQ(own.nodes[0].file_mode, 0660u);
  EXPECT_EQ(own.nodes[0].gid, 44u);
  EXPECT_EQ(own.nodes[0].permissions, "rw");
  const Edits& common = spec->edits;
  EXPECT_THAT(common.env, ElementsAre("DRIVER=1"));
  ASSERT_EQ(common.mounts.size(), 1u);
  EXPECT_TRUE(common.mounts[0].read_only && common.mounts[0].nosuid &&
              common.mounts[0].nodev && common.mounts[0].recursive);
  EXPECT_FALSE(common.mounts[0].noexec);
  ASSERT_EQ(common.hooks.size(), 1u);
  EXPECT_EQ(common.hooks[0].moment, Moment::kCreateRuntime);
  EXPECT_THAT(common.hooks[0].arguments, ElementsAre("gpu-hook", "--now"));
  EXPECT_THAT(common.hooks[0].environment, ElementsAre("PATH=/bin"));
  EXPECT_EQ(common.hooks[0].timeout_seconds, 3u);
}

// A spec with one device, whose edits are `edits`.
std::string With(absl::string_view edits, absl::string_view version = "1.1.0") {
  return absl::StrCat(R"({"cdiVersion": ")", version,
                      R"(", "kind": "v.com/c", "devices": [{"name": "d",)",
                      R"("containerEdits": )", edits, "}]}");
}

TEST(SpecTest, PermissionsAreAllUnlessSaid) {
  const auto permissions = [](const char* said) {
    const absl::StatusOr<Spec> spec =
        ParseSpecText(With(absl::StrCat(R"({"deviceNodes": [{"path": "/dev/x")",
                                        said, "}]}")),
                      "f.json");
    EXPECT_TRUE(spec.ok()) << spec.status();
    return spec.ok() ? spec->devices[0].edits.nodes[0].permissions : "?";
  };
  EXPECT_EQ(permissions(""), "rwm");
  EXPECT_EQ(permissions(R"(, "permissions": "none")"), "");
  EXPECT_EQ(permissions(R"(, "permissions": "r")"), "r");
}

struct Refusal {
  const char* edits;
  const char* because;
  const char* version = "1.1.0";
};

const Refusal kRefusals[] = {
    {"{}", "containerEdits change nothing"},
    {"[]", "containerEdits is not an object"},
    {R"({"environment": ["A=1"]})", "environment is not a known field"},
    {R"({"env": ["A"]})", "is not NAME=value"},
    {R"({"env": ["=A"]})", "is not NAME=value"},
    {R"({"env": ["A=\u0000"]})", "has a NUL byte"},
    {R"({"env": "A=1"})", "env is not a list of strings"},
    {R"({"deviceNodes": [{"hostPath": "/dev/x"}]})", "path \"\" is not an"},
    {R"({"deviceNodes": [{"path": "dev/x"}]})", "absolute, clean path"},
    {R"({"deviceNodes": [{"path": "/dev/../x"}]})", "absolute, clean path"},
    {R"({"deviceNodes": [{"path": "/dev//x"}]})", "absolute, clean path"},
    {R"({"deviceNodes": [{"path": "/dev/x/"}]})", "absolute, clean path"},
    {R"({"deviceNodes": [{"path": "/dev/\n"}]})", "absolute, clean path"},
    {R"({"deviceNodes": [{"path": "/dev/x", "type": "d"}]})", "type is none"},
    {R"({"deviceNodes": [{"path": "/dev/x", "major": -1}]})", "0..4095"},
    {R"({"deviceNodes": [{"path": "/dev/x", "minor": "1"}]})", "0..1048575"},
    {R"({"deviceNodes": [{"path": "/dev/x", "fileMode": 4096}]})", "fileMode"},
    {R"({"deviceNodes": [{"path": "/dev/x", "uid": 4294967295}]})", "uid"},
    {R"({"deviceNodes": [{"path": "/dev/x", "permissions": "rx"}]})",
     "other letters"},
    {R"({"deviceNodes": [{"path": "/dev/x", "hostPath": "/y"}]})",
     "hostPath is not a field of the spec's cdiVersion", "0.4.0"},
    {R"({"mounts": [{"hostPath": "/a"}]})", "containerPath \"\" is not an"},
    {R"({"mounts": [{"hostPath": "/", "containerPath": "/a"}]})",
     "absolute, clean path"},
    {R"({"mounts": [{"hostPath": "/a", "containerPath": "/a",
                     "options": ["ro", "suid"]}]})",
     "\"suid\" is not supported"},
    {R"({"mounts": [{"hostPath": "/a", "containerPath": "/a",
                     "type": "tmpfs"}]})",
     "\"tmpfs\" is not a bind"},
    {R"({"mounts": [{"hostPath": "/a", "containerPath": "/a",
                     "type": "bind"}]})",
     "type is not a field", "0.3.0"},
    {R"({"hooks": [{"hookName": "preStart", "path": "/h"}]})",
     "no moment of a container's life"},
    {R"({"hooks": [{"hookName": "prestart", "path": "h"}]})",
     "absolute, clean path"},
    {R"({"hooks": [{"hookName": "prestart", "path": "/h", "timeout": 0}]})",
     "1..3600"},
    {R"({"hooks": [{"hookName": "prestart", "path": "/h", "env": ["A"]}]})",
     "is not NAME=value"},
    {R"({"additionalGids": [-1]})", "not a group's id"},
    {R"({"additionalGids": [1]})", "additionalGids is not a field", "0.6.0"},
    {R"({"intelRdt": {}})", "intelRdt is not a field", "0.6.0"},
    {R"({"intelRdt": {"enableMonitoring": true}})", "is not a field", "1.0.0"},
    {R"({"netDevices": [{"hostInterfaceName": "eth1", "name": "a"}]})",
     "netDevices is not a field", "1.0.0"},
    {R"({"netDevices": [{"name": "a"}]})", "lacks a name"},
};

TEST(SpecTest, EditsAreCheckedStrictly) {
  for (const Refusal& refusal : kRefusals) {
    const absl::Status status =
        ParseSpecText(With(refusal.edits, refusal.version), "f.json").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
        << refusal.edits;
    EXPECT_THAT(std::string(status.message()),
                testing::AllOf(HasSubstr("read CDI spec f.json: "),
                               HasSubstr(refusal.because)))
        << refusal.edits;
  }
}

TEST(SpecTest, TheRestOfASpecIsCheckedToo) {
  const std::string good = With(R"({"env": ["A=1"]})", "0.3.0");
  ASSERT_TRUE(ParseSpecText(good, "f.json").ok());
  const std::pair<std::pair<const char*, const char*>, const char*> rows[] = {
      {{"0.3.0", "0.2.0"}, "cdiVersion \"0.2.0\" is not a version"},
      {{"0.3.0", "1.2.0"}, "cdiVersion"},
      {{"0.3.0", "0.3"}, "cdiVersion"},
      {{"v.com/c", "v.com"}, "kind \"v.com\" is not vendor.com/class"},
      {{"v.com/c", "1.com/c"}, "is not vendor.com/class"},
      {{"v.com/c", "v.com/c/d"}, "is not vendor.com/class"},
      {{"v.com/c", "v.com/c.d"}, "0.6.0 allowed first"},
      {{"\"d\"", "\"1\""}, "0.5.0 allowed first"},
      {{"\"d\"", "\"d=\""}, "is not a device's name"},
      {{"\"d\"", "\"\""}, "is not a device's name"},
      {{"\"kind\"", "\"more\": 1, \"kind\""}, "more is not a known field"},
      {{"\"kind\"", "\"annotations\": {}, \"kind\""}, "annotations is not a"},
      {{"\"devices\"", "\"device\""}, "device is not a known field"},
  };
  for (const auto& [change, because] : rows) {
    const std::string text =
        absl::StrReplaceAll(good, {{change.first, change.second}});
    EXPECT_THAT(std::string(ParseSpecText(text, "f.json").status().message()),
                HasSubstr(because))
        << text;
  }
  EXPECT_FALSE(ParseSpecText("[]", "f.json").ok());
  EXPECT_THAT(std::string(ParseSpecText(R"({"cdiVersion": "0.3.0",
        "kind": "v.com/c", "devices": []})",
                                        "f.json")
                              .status()
                              .message()),
              HasSubstr("devices are missing"));
}

TEST(SpecTest, AnnotationsAreAsKubernetesHasThem) {
  const auto parse = [](absl::string_view annotations) {
    return ParseSpecText(
               absl::StrCat(R"({"cdiVersion": "0.6.0", "kind": "v.com/c",
                                "annotations": )",
                            annotations, R"(, "devices": [{"name": "d",
                                "containerEdits": {"env": ["A=1"]}}]})"),
               "f.json")
        .ok();
  };
  EXPECT_TRUE(parse(R"({"v.com/key": "text"})"));
  EXPECT_FALSE(parse(R"({"v.com/key": 1})"));
  EXPECT_FALSE(parse(R"({"a b": "text"})"));
  EXPECT_FALSE(parse(R"({"a/b/c": "text"})"));
  EXPECT_FALSE(
      parse(absl::StrCat(R"({"a": ")", std::string(300000, 'x'), R"("})")));
}

TEST(NameTest, QualifiedNamesHaveThreeParts) {
  for (const char* name :
       {"vendor.com/gpu=0", "v/c=d", "v.com/c-1.x=a:b_c.d"}) {
    EXPECT_TRUE(CheckQualifiedName(name).ok()) << name;
  }
  for (const char* name :
       {"", "gpu", "vendor.com/gpu", "vendor.com=0", "vendor.com/=0", "/gpu=0",
        "v/c=", "v/c=d=e", "v/c=-d", "v/c=d-", "v/c=d,v/c=e", "../x=d",
        "v./c=d", "v/c =d", "v/c=d\n"}) {
    EXPECT_EQ(CheckQualifiedName(name).code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

}  // namespace
}  // namespace caisson::device
