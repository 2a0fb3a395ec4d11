#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

#include "api/cri/v1/api.grpc.pb.h"
#include "shim/core/lanes.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/ops/create_container.h"
#include "shim/ops/exec_sync.h"
#include "shim/ops/run_pod.h"
#include "shim/ops/start_container.h"
#include "shim/ops/stop_container.h"
#include "shim/ops/update_resources.h"

namespace caisson::cri {

namespace v1 = ::runtime::v1;

// The CRI's RuntimeService: requests become operations, and results answers.
// What is not overridden here answers UNIMPLEMENTED.
class RuntimeService final : public v1::RuntimeService::CallbackService {
 public:
  struct Parts {
    const ops::Node& node;
    network::Cni& cni;
    core::Registry& registry;
    core::OperationTable& operations;
    core::Lanes& lanes;
    ops::RunPod& run_pod;
    ops::PodEnding& pod_ending;
    ops::DetachQueue& detach_queue;
    ops::CreateContainer& create_container;
    ops::StartContainer& start_container;
    ops::StopContainer& stop_container;
    ops::ContainerEnding& container_ending;
    ops::UpdateResources& update_resources;
    ops::ExecSync& exec_sync;
  };

  explicit RuntimeService(const Parts& parts) : parts_(parts) {}

 private:
#define CAISSON_RPC(Name)                                      \
  grpc::ServerUnaryReactor* Name(grpc::CallbackServerContext*, \
                                 const v1::Name##Request*,     \
                                 v1::Name##Response*) override
  // runtime_service.cc: from memory.
  CAISSON_RPC(Version);
  CAISSON_RPC(Status);
  CAISSON_RPC(RuntimeConfig);
  CAISSON_RPC(UpdateRuntimeConfig);
  CAISSON_RPC(PodSandboxStatus);
  CAISSON_RPC(ListPodSandbox);
  CAISSON_RPC(ListContainers);
  CAISSON_RPC(ContainerStatus);
  CAISSON_RPC(ContainerStats);
  CAISSON_RPC(ListContainerStats);
  // pod_calls.cc
  CAISSON_RPC(RunPodSandbox);
  CAISSON_RPC(StopPodSandbox);
  CAISSON_RPC(RemovePodSandbox);
  CAISSON_RPC(UpdatePodSandboxResources);
  // container_calls.cc
  CAISSON_RPC(CreateContainer);
  CAISSON_RPC(StartContainer);
  CAISSON_RPC(StopContainer);
  CAISSON_RPC(RemoveContainer);
  CAISSON_RPC(ReopenContainerLog);
  CAISSON_RPC(ExecSync);
  CAISSON_RPC(UpdateContainerResources);
#undef CAISSON_RPC

  const Parts parts_;
};

}  // namespace caisson::cri
