#include "runtime/network/invocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::network {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Attachment Pod() {
  Attachment pod;
  pod.pod_id = "abc123";
  pod.pod_name = "web";
  pod.pod_namespace = "default";
  pod.pod_uid = "u-1";
  pod.netns_path = "/run/netns/x";
  return pod;
}

json::Value Json(const std::string& text) {
  return *json::Parse(text, "test");
}

TEST(InvocationTest, ArgumentsCannotBeSmuggledIn) {
  EXPECT_TRUE(CheckAttachment(Pod()).ok());
  for (const char* text : {"a;K8S_POD_NAME=b", "a=b", "a\nb", "a\x1b"}) {
    Attachment pod = Pod();
    pod.pod_name = text;
    EXPECT_FALSE(CheckAttachment(pod).ok()) << text;
    pod = Pod();
    pod.pod_namespace = text;
    EXPECT_FALSE(CheckAttachment(pod).ok()) << text;
    pod = Pod();
    pod.pod_uid = text;
    EXPECT_FALSE(CheckAttachment(pod).ok()) << text;
  }
  for (const char* id : {"", "../x", "-a", "a/b", "a b"}) {
    Attachment pod = Pod();
    pod.pod_id = id;
    EXPECT_FALSE(CheckAttachment(pod).ok()) << id;
  }
  for (const char* name : {"", "..", "a/b", "sixteen-letters-x", "a b"}) {
    Attachment pod = Pod();
    pod.interface = name;
    EXPECT_FALSE(CheckAttachment(pod).ok()) << name;
  }
}

TEST(InvocationTest, EnvironmentIsThatOfTheSpecification) {
  const auto environment = MakeEnvironment(Pod(), "ADD", {"/a", "/b"});
  EXPECT_THAT(environment, Contains("CNI_COMMAND=ADD"));
  EXPECT_THAT(environment, Contains("CNI_CONTAINERID=abc123"));
  EXPECT_THAT(environment, Contains("CNI_NETNS=/run/netns/x"));
  EXPECT_THAT(environment, Contains("CNI_IFNAME=eth0"));
  EXPECT_THAT(environment, Contains("CNI_PATH=/a:/b"));
  EXPECT_THAT(environment,
              Contains("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"
                       "K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc123;"
                       "K8S_POD_UID=u-1"));
}

TEST(InvocationTest, CapabilitiesBecomeRuntimeConfig) {
  Configuration configuration = *ParseConfiguration(
      Json(R"({"name": "n", "cniVersion": "1.0.0", "plugins": [
           {"type": "bridge", "name": "other"},
           {"type": "portmap", "capabilities": {"portMappings": true}}]})"),
      "test");
  Attachment pod = Pod();
  pod.ports = {{8080, 80, "TCP", "127.0.0.1"}, {0, 81, "tcp", ""}};
  const json::Value first =
      Json(MakeInput(configuration, 0, pod, json::Value()));
  EXPECT_EQ(first["name"], "n");
  EXPECT_EQ(first["cniVersion"], "1.0.0");
  EXPECT_FALSE(first.contains("runtimeConfig"));
  EXPECT_FALSE(first.contains("prevResult"));
  const json::Value second =
      Json(MakeInput(configuration, 1, pod, Json(R"({"ips": []})")));
  EXPECT_EQ(second["runtimeConfig"]["portMappings"],
            Json(R"([{"hostPort": 8080, "containerPort": 80,
                 "protocol": "tcp", "hostIP": "127.0.0.1"}])"));
  EXPECT_FALSE(second.contains("capabilities"));
  EXPECT_TRUE(second.contains("prevResult"));
  pod.ports.clear();
  EXPECT_THAT(MakeInput(configuration, 1, pod, json::Value()),
              Not(HasSubstr("runtimeConfig")));
}

TEST(InvocationTest, OnlyThePodsAddressesCount) {
  const json::Value result = Json(R"({
      "interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/n"}],
      "ips": [{"address": "10.0.0.1/24", "interface": 0},
              {"address": "10.0.0.5/24", "interface": 1},
              {"address": "fd00::5/64", "interface": 1}]})");
  EXPECT_THAT(ReadAddresses(result, "eth0")->ips,
              ElementsAre("10.0.0.5", "fd00::5"));
  EXPECT_THAT(
      ReadAddresses(Json(R"({"ips": [{"address": "1.2.3.4/8"}]})"), "eth0")
          ->ips,
      ElementsAre("1.2.3.4"));
  EXPECT_EQ(ReadAddresses(Json("{}"), "eth0").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ConfigurationTest, RefusesWhatIsNoConfiguration) {
  for (const char* text :
       {R"({"cniVersion": "1.0.0", "type": "x"})",
        R"({"name": "../n", "cniVersion": "1.0.0", "type": "x"})",
        R"({"name": "n", "type": "x"})",
        R"({"name": "n", "cniVersion": "9.0.0", "type": "x"})",
        R"({"name": "n", "cniVersion": "1.0.0"})",
        R"({"name": "n", "cniVersion": "1.0.0", "type": "../../bin/sh"})",
        R"({"name": "n", "cniVersion": "1.0.0", "type": ".."})",
        R"({"name": "n", "cniVersion": "1.0.0", "plugins": []})",
        R"({"name": "n", "cniVersion": "1.0.0", "plugins": ["x"]})", "[]"}) {
    EXPECT_EQ(ParseConfiguration(Json(text), "f").status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
  EXPECT_EQ(ParseConfiguration(Json(R"({"name": "n", "type": "x",
                "cniVersions": ["0.4.0", "1.1.0", "2.0.0"]})"),
                               "f")
                ->version,
            "1.1.0");
}

}  // namespace
}  // namespace caisson::network
