#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/cri/fixture/cri_fixture.h"

namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;
using Stub = cri::RuntimeService::Stub;

using MalformedPodTest = CriTest;

struct Refusal {
  const char* name;
  void (*change)(cri::RunPodSandboxRequest& request);
  grpc::StatusCode code;
  const char* message;
};

cri::LinuxPodSandboxConfig& Linux(cri::RunPodSandboxRequest& request) {
  return *request.mutable_config()->mutable_linux();
}

void AddMapping(cri::RunPodSandboxRequest& request, uint32_t container,
                uint32_t host, uint32_t length) {
  cri::UserNamespace& users = *Linux(request)
                                   .mutable_security_context()
                                   ->mutable_namespace_options()
                                   ->mutable_userns_options();
  users.set_mode(cri::POD);
  for (cri::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_container_id(container);
    map->set_host_id(host);
    map->set_length(length);
  }
}

constexpr Refusal kRefusals[] = {
    {"no metadata",
     [](cri::RunPodSandboxRequest& r) { r.mutable_config()->clear_metadata(); },
     grpc::INVALID_ARGUMENT, "check config.metadata: \"\" is missing"},
    {"slash in the name",
     [](cri::RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_metadata()->set_name("../../x");
     },
     grpc::INVALID_ARGUMENT, "check config.metadata.name: \"../../x\""},
    {"name of a megabyte of control characters",
     [](cri::RunPodSandboxRequest& r) {
       r.mutable_config()->mutable_metadata()->set_name(
           std::string(1 << 20, '\1'));
     },
     grpc::INVALID_ARGUMENT, "is longer than 253 bytes"},
    {"unknown handler",
     [](cri::RunPodSandboxRequest& r) { r.set_runtime_handler("kata"); },
     grpc::NOT_FOUND, "check runtime_handler: \"kata\" is not configured"},
    {"handler of a megabyte",
     [](cri::RunPodSandboxRequest& r) {
       r.set_runtime_handler(std::string(1 << 20, '\1'));
     },
     grpc::NOT_FOUND, "is not configured"},
    {"two mappings",
     [](cri::RunPodSandboxRequest& r) {
       AddMapping(r, 0, 1000000, 65536);
       AddMapping(r, 65536, 2000000, 65536);
     },
     grpc::INVALID_ARGUMENT, "\"2 mappings\" must be one mapping"},
    {"root is not mapped",
     [](cri::RunPodSandboxRequest& r) { AddMapping(r, 1, 1000000, 65536); },
     grpc::INVALID_ARGUMENT, "container id 0 is not mapped"},
    {"mapped to the host's root",
     [](cri::RunPodSandboxRequest& r) { AddMapping(r, 0, 0, 65536); },
     grpc::INVALID_ARGUMENT, "userns_options.uids"},
    {"negative user",
     [](cri::RunPodSandboxRequest& r) {
       Linux(r).mutable_security_context()->mutable_run_as_user()->set_value(
           -1);
     },
     grpc::INVALID_ARGUMENT, "run_as_user.value: \"-1\" is out of range"},
    {"sysctl of the host",
     [](cri::RunPodSandboxRequest& r) {
       (*Linux(r).mutable_sysctls())["kernel.core_pattern"] = "|x";
     },
     grpc::INVALID_ARGUMENT, "\"kernel.core_pattern\" does not belong"},
    {"cgroup parent that climbs",
     [](cri::RunPodSandboxRequest& r) {
       Linux(r).set_cgroup_parent("/a/../../b");
     },
     grpc::INVALID_ARGUMENT, "config.linux.cgroup_parent: \"/a/../../b\""},
    {"port out of range",
     [](cri::RunPodSandboxRequest& r) {
       r.mutable_config()->add_port_mappings()->set_host_port(70000);
     },
     grpc::INVALID_ARGUMENT, "\"70000:0\" is out of range"},
    {"log directory that climbs",
     [](cri::RunPodSandboxRequest& r) {
       r.mutable_config()->set_log_directory("/var/../etc");
     },
     grpc::INVALID_ARGUMENT, "config.log_directory: \"/var/../etc\""},
    // Only the kernel knows; by then the pod has a cgroup and a keeper.
    {"sysctl with a value that the kernel refuses",
     [](cri::RunPodSandboxRequest& r) {
       (*Linux(r).mutable_sysctls())["kernel.shmmax"] = "banana";
     },
     grpc::INVALID_ARGUMENT, "kernel.shmmax"},
};

TEST_F(MalformedPodTest, IsRefusedWithItsCodeAndLeavesNothing) {
  std::string id;
  const grpc::Status good = RunPod(GoodPod("good"), &id);
  ASSERT_TRUE(good.ok()) << good.error_message();
  const std::vector<std::string> before = Footprint();
  EXPECT_GT(before.size(), empty_.size());
  for (const Refusal& refusal : kRefusals) {
    cri::RunPodSandboxRequest request = GoodPod("bad");
    refusal.change(request);
    const grpc::Status status = RunPod(request);
    EXPECT_EQ(status.error_code(), refusal.code)
        << refusal.name << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(refusal.message))
        << refusal.name;
    EXPECT_EQ(Footprint(), before) << refusal.name;
  }
}

TEST_F(MalformedPodTest, RangeOfALivePodIsNotGivenTwice) {
  cri::RunPodSandboxRequest first = GoodPod("first");
  AddMapping(first, 0, 1610612736, 65536);
  const grpc::Status ran = RunPod(first);
  ASSERT_TRUE(ran.ok()) << ran.error_message();
  const std::vector<std::string> before = Footprint();
  for (const uint32_t host : {1610612736u, 1610612737u, 1610612735u}) {
    cri::RunPodSandboxRequest second = GoodPod("second");
    AddMapping(second, 0, host, 65536);
    const grpc::Status status = RunPod(second);
    EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION)
        << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(std::to_string(host)));
    EXPECT_EQ(Footprint(), before);
  }
}

TEST_F(MalformedPodTest, UnknownIdsAreNotFoundAndStopOfThemSucceeds) {
  for (const std::string& id :
       {std::string(), std::string("nosuch"), std::string("../x"),
        std::string(1 << 20, '\1')}) {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id);
    cri::PodSandboxStatusResponse response;
    const grpc::Status status =
        Call(&Stub::PodSandboxStatus, request, response);
    EXPECT_EQ(status.error_code(), grpc::NOT_FOUND) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("find pod sandbox \""));

    cri::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(id);
    cri::StopPodSandboxResponse stopped;
    EXPECT_TRUE(Call(&Stub::StopPodSandbox, stop, stopped).ok());
    cri::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(id);
    cri::RemovePodSandboxResponse removed;
    EXPECT_TRUE(Call(&Stub::RemovePodSandbox, remove, removed).ok());
  }
}

}  // namespace
}  // namespace caisson::cri_test
