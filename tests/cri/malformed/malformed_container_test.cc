#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/cri/fixture/cri_fixture.h"

namespace caisson::cri_test {
namespace {

using ::testing::HasSubstr;
using Stub = cri::RuntimeService::Stub;

using MalformedContainerTest = CriTest;

struct Refusal {
  const char* name;
  void (*change)(cri::CreateContainerRequest& request);
  grpc::StatusCode code;
  const char* message;
};

cri::LinuxContainerSecurityContext& Security(
    cri::CreateContainerRequest& request) {
  return *request.mutable_config()->mutable_linux()->mutable_security_context();
}

cri::LinuxContainerResources& Resources(cri::CreateContainerRequest& request) {
  return *request.mutable_config()->mutable_linux()->mutable_resources();
}

cri::Mount& AddMount(cri::CreateContainerRequest& request, const char* host,
                     const char* container) {
  cri::Mount& mount = *request.mutable_config()->add_mounts();
  mount.set_host_path(host);
  mount.set_container_path(container);
  return mount;
}

constexpr Refusal kRefusals[] = {
    {"unknown pod",
     [](cri::CreateContainerRequest& r) { r.set_pod_sandbox_id("nosuch"); },
     grpc::NOT_FOUND, "find pod sandbox \"nosuch\""},
    {"no pod", [](cri::CreateContainerRequest& r) { r.clear_pod_sandbox_id(); },
     grpc::NOT_FOUND, "find pod sandbox \"\""},
    {"unknown image",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->mutable_image()->set_image("nosuch:1");
     },
     grpc::NOT_FOUND, "find image \"nosuch:1\": not found"},
    {"no image",
     [](cri::CreateContainerRequest& r) { r.mutable_config()->clear_image(); },
     grpc::NOT_FOUND, "find image \"\": not found"},
    {"no metadata",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->clear_metadata();
     },
     grpc::INVALID_ARGUMENT, "check config.metadata: \"\" is missing"},
    {"slash in the name",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->mutable_metadata()->set_name("a/b");
     },
     grpc::INVALID_ARGUMENT, "check config.metadata.name: \"a/b\""},
    {"user that the image lacks",
     [](cri::CreateContainerRequest& r) {
       Security(r).set_run_as_username("nosuch");
     },
     grpc::INVALID_ARGUMENT, "find user \"nosuch\""},
    {"user beyond 31 bits",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_run_as_user()->set_value(4294967296);
     },
     grpc::INVALID_ARGUMENT, "run_as_user \"4294967296\""},
    {"user outside of the pod's range",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_run_as_user()->set_value(1000650000);
     },
     grpc::INVALID_ARGUMENT, "1000650000"},
    {"group without user",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_run_as_group()->set_value(7);
     },
     grpc::INVALID_ARGUMENT, "run_as_group \"7\""},
    {"negative memory",
     [](cri::CreateContainerRequest& r) {
       Resources(r).set_memory_limit_in_bytes(-2);
     },
     grpc::INVALID_ARGUMENT, "memory_limit_in_bytes: \"-2\" is negative"},
    {"oom score",
     [](cri::CreateContainerRequest& r) {
       Resources(r).set_oom_score_adj(1001);
     },
     grpc::INVALID_ARGUMENT, "oom_score_adj: \"1001\""},
    {"unified file that climbs",
     [](cri::CreateContainerRequest& r) {
       (*Resources(r).mutable_unified())["../memory.max"] = "1";
     },
     grpc::INVALID_ARGUMENT, "../memory.max"},
    {"relative mount",
     [](cri::CreateContainerRequest& r) { AddMount(r, "data", "/data"); },
     grpc::INVALID_ARGUMENT, "mounts[0].host_path: \"data\""},
    {"mount that climbs",
     [](cri::CreateContainerRequest& r) { AddMount(r, "/tmp", "/a/../.."); },
     grpc::INVALID_ARGUMENT, "mounts[0].container_path: \"/a/../..\""},
    {"mount over /proc",
     [](cri::CreateContainerRequest& r) { AddMount(r, "/tmp", "/proc/sys"); },
     grpc::INVALID_ARGUMENT, "\"/proc/sys\" lies in /proc"},
    {"unknown capability",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_capabilities()->add_add_capabilities("NOPE");
     },
     grpc::INVALID_ARGUMENT, "find capability \"NOPE\""},
    {"unknown seccomp type",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_seccomp()->set_profile_type(
           static_cast<cri::SecurityProfile_ProfileType>(5));
     },
     grpc::INVALID_ARGUMENT, "seccomp.profile_type: \"5\" is unknown"},
    {"seccomp profile that is not there",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_seccomp()->set_profile_type(
           cri::SecurityProfile::Localhost);
       Security(r).mutable_seccomp()->set_localhost_ref("/nosuch.json");
     },
     grpc::INVALID_ARGUMENT, "/nosuch.json"},
    {"AppArmor profile",
     [](cri::CreateContainerRequest& r) {
       Security(r).mutable_apparmor()->set_profile_type(
           cri::SecurityProfile::Localhost);
       Security(r).mutable_apparmor()->set_localhost_ref("web");
     },
     grpc::FAILED_PRECONDITION, "apparmor.localhost_ref: \"web\""},
    {"log path that climbs",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->set_log_path("../x.log");
     },
     grpc::INVALID_ARGUMENT, "config.log_path: \"../x.log\""},
    {"name of a variable",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->add_envs()->set_key("A=B");
     },
     grpc::INVALID_ARGUMENT, "config.envs: \"A=B\""},
    // What is known only when part of the container is there.
    {"volume that can't be made",
     [](cri::CreateContainerRequest& r) {
       AddMount(r, "/proc/nosuch/x", "/data");
     },
     grpc::INTERNAL, "/proc/nosuch"},
    {"working directory is a file",
     [](cri::CreateContainerRequest& r) {
       r.mutable_config()->set_working_dir("/etc/hosts");
     },
     grpc::FAILED_PRECONDITION, "/etc/hosts: Not a directory"},
};

TEST_F(MalformedContainerTest, IsRefusedWithItsCodeAndLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(PullImage());
  std::string pod;
  const grpc::Status ran = RunPod(GoodPod("good"), &pod);
  ASSERT_TRUE(ran.ok()) << ran.error_message();
  const std::vector<std::string> before = Footprint();
  for (const Refusal& refusal : kRefusals) {
    cri::CreateContainerRequest request = GoodContainer(pod);
    refusal.change(request);
    const grpc::Status status = CreateContainer(request);
    EXPECT_EQ(status.error_code(), refusal.code)
        << refusal.name << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(refusal.message))
        << refusal.name;
    EXPECT_EQ(Footprint(), before) << refusal.name;
  }
  // Nothing of all that stands in the way of a good one.
  const grpc::Status created = CreateContainer(GoodContainer(pod));
  EXPECT_TRUE(created.ok()) << created.error_message();
  EXPECT_GT(Footprint().size(), before.size());
}

TEST_F(MalformedContainerTest, UnknownIdsAreNotFoundAndStopOfThemSucceeds) {
  for (const std::string& id :
       {std::string(), std::string("nosuch"), std::string(1 << 20, '\1')}) {
    cri::StartContainerRequest start;
    start.set_container_id(id);
    cri::StartContainerResponse started;
    EXPECT_EQ(Call(&Stub::StartContainer, start, started).error_code(),
              grpc::NOT_FOUND);
    cri::ContainerStatusRequest ask;
    ask.set_container_id(id);
    cri::ContainerStatusResponse answer;
    EXPECT_EQ(Call(&Stub::ContainerStatus, ask, answer).error_code(),
              grpc::NOT_FOUND);
    cri::ExecSyncRequest exec;
    exec.set_container_id(id);
    exec.add_cmd("true");
    cri::ExecSyncResponse output;
    EXPECT_EQ(Call(&Stub::ExecSync, exec, output).error_code(),
              grpc::NOT_FOUND);
    cri::StopContainerRequest stop;
    stop.set_container_id(id);
    cri::StopContainerResponse stopped;
    EXPECT_TRUE(Call(&Stub::StopContainer, stop, stopped).ok());
    cri::RemoveContainerRequest remove;
    remove.set_container_id(id);
    cri::RemoveContainerResponse removed;
    EXPECT_TRUE(Call(&Stub::RemoveContainer, remove, removed).ok());
  }
}

TEST_F(MalformedContainerTest, MalformedExecIsRefused) {
  ASSERT_NO_FATAL_FAILURE(PullImage());
  std::string pod;
  ASSERT_TRUE(RunPod(GoodPod("good"), &pod).ok());
  cri::StartContainerRequest start;
  ASSERT_TRUE(
      CreateContainer(GoodContainer(pod), start.mutable_container_id()).ok());
  cri::StartContainerResponse started;
  ASSERT_TRUE(Call(&Stub::StartContainer, start, started).ok());
  cri::ExecSyncRequest exec;
  exec.set_container_id(start.container_id());
  cri::ExecSyncResponse output;
  EXPECT_EQ(Call(&Stub::ExecSync, exec, output).error_code(),
            grpc::INVALID_ARGUMENT);
  exec.add_cmd("true");
  exec.set_timeout(-1);
  EXPECT_EQ(Call(&Stub::ExecSync, exec, output).error_code(),
            grpc::INVALID_ARGUMENT);
}

TEST_F(MalformedContainerTest, MalformedImageNamesAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("UPPER/case"), std::string("a@sha256:12"),
        std::string("../../etc"), std::string("a b"),
        std::string(1 << 20, '\1')}) {
    cri::PullImageRequest request;
    request.mutable_image()->set_image(name);
    cri::PullImageResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        images_->PullImage(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT)
        << name.substr(0, 20) << ": " << status.error_message();
  }
}

}  // namespace
}  // namespace caisson::cri_test
