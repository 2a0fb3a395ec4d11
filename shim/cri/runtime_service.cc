#include "shim/cri/runtime_service.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "shim/cri/status_mapping.h"

namespace caisson::cri {
namespace {

// Where a failed call is logged, once.
grpc::Status Answer(const char* rpc, const absl::Status& status) {
  if (!status.ok()) {
    LogWarning(absl::StrCat(rpc, ": ", absl::StatusCodeToString(status.code()),
                            ": ", status.message()));
  }
  return ToGrpc(status);
}

}  // namespace

using grpc::ServerContext;

grpc::Status RuntimeService::Version(ServerContext*, const v1::VersionRequest*,
                                     v1::VersionResponse* response) {
  response->set_version("0.1.0");
  response->set_runtime_name("caisson");
  response->set_runtime_version(CAISSON_VERSION);
  response->set_runtime_api_version("v1");
  return grpc::Status::OK;
}

grpc::Status RuntimeService::Status(ServerContext*, const v1::StatusRequest*,
                                    v1::StatusResponse* response) {
  runtime_.Status(*response);
  return grpc::Status::OK;
}

grpc::Status RuntimeService::RuntimeConfig(
    ServerContext*, const v1::RuntimeConfigRequest*,
    v1::RuntimeConfigResponse* response) {
  response->mutable_linux()->set_cgroup_driver(
      runtime_.config().cgroup.UsesSystemd() ? v1::SYSTEMD : v1::CGROUPFS);
  return grpc::Status::OK;
}

grpc::Status RuntimeService::UpdateRuntimeConfig(
    ServerContext*, const v1::UpdateRuntimeConfigRequest*,
    v1::UpdateRuntimeConfigResponse*) {
  // The pod CIDR: the network's configuration has its own.
  return grpc::Status::OK;
}

grpc::Status RuntimeService::RunPodSandbox(
    ServerContext*, const v1::RunPodSandboxRequest* request,
    v1::RunPodSandboxResponse* response) {
  absl::StatusOr<std::string> id = runtime_.RunPod(*request);
  if (id.ok()) {
    response->set_pod_sandbox_id(*id);
  }
  return Answer("RunPodSandbox", id.status());
}

grpc::Status RuntimeService::StopPodSandbox(
    ServerContext*, const v1::StopPodSandboxRequest* request,
    v1::StopPodSandboxResponse*) {
  return Answer("StopPodSandbox", runtime_.StopPod(request->pod_sandbox_id()));
}

grpc::Status RuntimeService::RemovePodSandbox(
    ServerContext*, const v1::RemovePodSandboxRequest* request,
    v1::RemovePodSandboxResponse*) {
  return Answer("RemovePodSandbox",
                runtime_.RemovePod(request->pod_sandbox_id()));
}

grpc::Status RuntimeService::PodSandboxStatus(
    ServerContext*, const v1::PodSandboxStatusRequest* request,
    v1::PodSandboxStatusResponse* response) {
  return Answer("PodSandboxStatus", runtime_.PodStatus(*request, *response));
}

grpc::Status RuntimeService::ListPodSandbox(
    ServerContext*, const v1::ListPodSandboxRequest* request,
    v1::ListPodSandboxResponse* response) {
  runtime_.ListPods(request->filter(), *response);
  return grpc::Status::OK;
}

grpc::Status RuntimeService::CreateContainer(
    ServerContext*, const v1::CreateContainerRequest* request,
    v1::CreateContainerResponse* response) {
  absl::StatusOr<std::string> id = runtime_.CreateContainer(*request);
  if (id.ok()) {
    response->set_container_id(*id);
  }
  return Answer("CreateContainer", id.status());
}

grpc::Status RuntimeService::StartContainer(
    ServerContext*, const v1::StartContainerRequest* request,
    v1::StartContainerResponse*) {
  return Answer("StartContainer",
                runtime_.StartContainer(request->container_id()));
}

grpc::Status RuntimeService::StopContainer(
    ServerContext*, const v1::StopContainerRequest* request,
    v1::StopContainerResponse*) {
  return Answer("StopContainer",
                runtime_.StopContainer(request->container_id(),
                                       absl::Seconds(request->timeout())));
}

grpc::Status RuntimeService::RemoveContainer(
    ServerContext*, const v1::RemoveContainerRequest* request,
    v1::RemoveContainerResponse*) {
  return Answer("RemoveContainer",
                runtime_.RemoveContainer(request->container_id()));
}

grpc::Status RuntimeService::ListContainers(
    ServerContext*, const v1::ListContainersRequest* request,
    v1::ListContainersResponse* response) {
  runtime_.ListContainers(request->filter(), *response);
  return grpc::Status::OK;
}

grpc::Status RuntimeService::ContainerStatus(
    ServerContext*, const v1::ContainerStatusRequest* request,
    v1::ContainerStatusResponse* response) {
  return Answer("ContainerStatus",
                runtime_.ContainerStatus(*request, *response));
}

grpc::Status RuntimeService::ContainerStats(
    ServerContext*, const v1::ContainerStatsRequest* request,
    v1::ContainerStatsResponse* response) {
  return Answer("ContainerStats", runtime_.ContainerStats(*request, *response));
}

grpc::Status RuntimeService::ListContainerStats(
    ServerContext*, const v1::ListContainerStatsRequest* request,
    v1::ListContainerStatsResponse* response) {
  runtime_.ListContainerStats(request->filter(), *response);
  return grpc::Status::OK;
}

grpc::Status RuntimeService::ReopenContainerLog(
    ServerContext*, const v1::ReopenContainerLogRequest* request,
    v1::ReopenContainerLogResponse*) {
  return Answer("ReopenContainerLog",
                runtime_.ReopenLog(request->container_id()));
}

grpc::Status RuntimeService::ExecSync(ServerContext*,
                                      const v1::ExecSyncRequest* request,
                                      v1::ExecSyncResponse* response) {
  return Answer("ExecSync", runtime_.ExecSync(*request, *response));
}

grpc::Status RuntimeService::UpdateContainerResources(
    ServerContext*, const v1::UpdateContainerResourcesRequest* request,
    v1::UpdateContainerResourcesResponse*) {
  return Answer("UpdateContainerResources", runtime_.UpdateContainer(*request));
}

grpc::Status RuntimeService::UpdatePodSandboxResources(
    ServerContext*, const v1::UpdatePodSandboxResourcesRequest* request,
    v1::UpdatePodSandboxResourcesResponse*) {
  return Answer("UpdatePodSandboxResources", runtime_.UpdatePod(*request));
}

}  // namespace caisson::cri
