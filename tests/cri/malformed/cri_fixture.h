#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/cri/v1/api.grpc.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/config/config.h"

namespace caisson::cri_test {

namespace cri = ::runtime::v1;

inline constexpr char kImage[] = "docker.io/library/busybox:latest";

// A client of the daemon that CONTAINER_RUNTIME_ENDPOINT names, which was
// started by hack/with_caissond.sh and belongs to this program alone.  Skips
// without one.
class CriTest : public testing::Test {
 protected:
  void SetUp() override;
  // Removes all pods; nothing of them may be left.
  void TearDown() override;

  // Calls a method of the runtime service and returns its status.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (cri::RuntimeService::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    return (runtime_.get()->*method)(&context, request, &response);
  }

  // A pod of the default handler, without a network of its own to be quick
  // about it; and a container that would be created in it.
  cri::RunPodSandboxRequest GoodPod(const std::string& name) const;
  cri::CreateContainerRequest GoodContainer(const std::string& pod) const;

  grpc::Status RunPod(const cri::RunPodSandboxRequest& request,
                      std::string* id = nullptr);
  grpc::Status CreateContainer(const cri::CreateContainerRequest& request,
                               std::string* id = nullptr);
  void PullImage();

  // All that pods and containers consist of: what the lists tell, cgroups,
  // directories, mounts, pinned namespaces.
  std::vector<std::string> Footprint();

  std::unique_ptr<cri::RuntimeService::Stub> runtime_;
  std::unique_ptr<cri::ImageService::Stub> images_;
  std::string directory_;  // of this run
  config::Config config_;
  cgroup::Layout layout_;
  // Before the test did anything.
  std::vector<std::string> empty_;
};

}  // namespace caisson::cri_test
