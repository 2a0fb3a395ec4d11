#pragma once

#include <grpcpp/grpcpp.h>

#include "api/cri/v1/api.grpc.pb.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {

// The CRI's RuntimeService: unpacks requests and packs answers.  What is not
// overridden here answers UNIMPLEMENTED.
class RuntimeService final : public v1::RuntimeService::Service {
 public:
  // Borrowed.
  explicit RuntimeService(Runtime& runtime) : runtime_(runtime) {}

#define CAISSON_RPC(Name)                                           \
  grpc::Status Name(grpc::ServerContext*, const v1::Name##Request*, \
                    v1::Name##Response*) override
  CAISSON_RPC(Version);
  CAISSON_RPC(Status);
  CAISSON_RPC(RuntimeConfig);
  CAISSON_RPC(UpdateRuntimeConfig);
  CAISSON_RPC(RunPodSandbox);
  CAISSON_RPC(StopPodSandbox);
  CAISSON_RPC(RemovePodSandbox);
  CAISSON_RPC(PodSandboxStatus);
  CAISSON_RPC(ListPodSandbox);
  CAISSON_RPC(CreateContainer);
  CAISSON_RPC(StartContainer);
  CAISSON_RPC(StopContainer);
  CAISSON_RPC(RemoveContainer);
  CAISSON_RPC(ListContainers);
  CAISSON_RPC(ContainerStatus);
  CAISSON_RPC(ContainerStats);
  CAISSON_RPC(ListContainerStats);
  CAISSON_RPC(ReopenContainerLog);
  CAISSON_RPC(ExecSync);
  CAISSON_RPC(UpdateContainerResources);
  CAISSON_RPC(UpdatePodSandboxResources);
#undef CAISSON_RPC

 private:
  Runtime& runtime_;
};

}  // namespace caisson::cri
