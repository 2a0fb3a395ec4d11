#pragma once

#include "api/cri/v1/api.pb.h"
#include "shim/plan/container.h"

// Requests in which nothing is wrong, for tests to change one thing in.
namespace caisson::plan {

inline runtime::v1::RunPodSandboxRequest GoodPod() {
  runtime::v1::RunPodSandboxRequest request;
  runtime::v1::PodSandboxConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("7d3c9a10-1111-2222-3333-444455556666");
  config.set_hostname("web-host");
  config.set_log_directory("/var/log/pods/default_web");
  return request;
}

// What PlanContainer() is given, and what keeps it alive.
struct GoodContainer {
  GoodContainer() {
    config.mutable_metadata()->set_name("app");
    config.add_command("/bin/server");
    config.set_log_path("app/0.log");
    pod = GoodPod().config();
    image.entrypoint = {"/entry"};
    image.command = {"image-argument"};
    image.env = {"LANG=C", "PATH=/image/bin"};
    users.passwd =
        "root:x:0:0:root:/root:/bin/sh\n"
        "app:x:1000:1001:app:/home/app:/bin/sh\n"
        "1234:x:0:0:digits:/root:/bin/sh\n"
        "4294967296:x:0:0:digits:/root:/bin/sh\n"
        "huge:x:4294967296:0:huge:/:/bin/sh\n";
    users.group =
        "root:x:0:\n"
        "app:x:1001:\n"
        "wheel:x:10:app,root\n"
        "5678:x:0:\n";
  }

  ContainerInputs Inputs() const {
    ContainerInputs inputs{config, pod, image, users, daemon};
    inputs.handler = "caisson";
    inputs.policy = policy;
    inputs.thermal_throttle = thermal_throttle;
    inputs.own_users = own_users;
    inputs.node_hostname = "node-1";
    inputs.pod_directory = "/run/caisson/pods/p1";
    return inputs;
  }

  absl::StatusOr<ContainerDecision> Plan() const {
    return PlanContainer(Inputs());
  }

  runtime::v1::LinuxContainerSecurityContext& Security() {
    return *config.mutable_linux()->mutable_security_context();
  }

  runtime::v1::LinuxContainerResources& Resources() {
    return *config.mutable_linux()->mutable_resources();
  }

  runtime::v1::Mount& AddMount(const char* host, const char* container) {
    runtime::v1::Mount& mount = *config.add_mounts();
    mount.set_host_path(host);
    mount.set_container_path(container);
    return mount;
  }

  runtime::v1::ContainerConfig config;
  runtime::v1::PodSandboxConfig pod;
  image::ImageConfig image;
  identity::UserDatabase users;
  config::Config daemon;
  config::Handler policy;
  std::vector<std::string> thermal_throttle;
  bool own_users = true;
};

}  // namespace caisson::plan
