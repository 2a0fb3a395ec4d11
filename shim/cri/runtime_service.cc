#include "shim/cri/runtime_service.h"

#include "runtime/base/status.h"
#include "shim/cri/call.h"
#include "shim/cri/container_view.h"
#include "shim/cri/pod_view.h"
#include "shim/cri/stats_view.h"
#include "shim/cri/status_view.h"

namespace caisson::cri {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

ServerUnaryReactor* RuntimeService::Version(CallbackServerContext* context,
                                            const v1::VersionRequest*,
                                            v1::VersionResponse* response) {
  response->set_version("0.1.0");
  response->set_runtime_name("caisson");
  response->set_runtime_version(CAISSON_VERSION);
  response->set_runtime_api_version("v1");
  return AnswerNow(context, "Version", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::Status(CallbackServerContext* context,
                                           const v1::StatusRequest*,
                                           v1::StatusResponse* response) {
  FillRuntimeStatus(parts_.node.config, parts_.cni.CheckReady(), *response);
  return AnswerNow(context, "Status", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::RuntimeConfig(
    CallbackServerContext* context, const v1::RuntimeConfigRequest*,
    v1::RuntimeConfigResponse* response) {
  response->mutable_linux()->set_cgroup_driver(
      parts_.node.config.cgroup.UsesSystemd() ? v1::SYSTEMD : v1::CGROUPFS);
  return AnswerNow(context, "RuntimeConfig", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::UpdateRuntimeConfig(
    CallbackServerContext* context, const v1::UpdateRuntimeConfigRequest*,
    v1::UpdateRuntimeConfigResponse*) {
  // The pod CIDR: the network's configuration has its own.
  return AnswerNow(context, "UpdateRuntimeConfig", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::PodSandboxStatus(
    CallbackServerContext* context, const v1::PodSandboxStatusRequest* request,
    v1::PodSandboxStatusResponse* response) {
  const absl::StatusOr<core::PodPtr> pod =
      parts_.registry.FindPod(request->pod_sandbox_id());
  if (pod.ok()) {
    const core::PodFactsPtr facts = (*pod)->facts();
    FillPodStatus(*facts, parts_.node.HandlerName(facts->record.handler()),
                  request->verbose(), *response);
  }
  return AnswerNow(context, "PodSandboxStatus", pod.status());
}

ServerUnaryReactor* RuntimeService::ListPodSandbox(
    CallbackServerContext* context, const v1::ListPodSandboxRequest* request,
    v1::ListPodSandboxResponse* response) {
  ListPods(parts_.registry, request->filter(), *response);
  return AnswerNow(context, "ListPodSandbox", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::ListContainers(
    CallbackServerContext* context, const v1::ListContainersRequest* request,
    v1::ListContainersResponse* response) {
  cri::ListContainers(parts_.registry, request->filter(), *response);
  return AnswerNow(context, "ListContainers", absl::OkStatus());
}

ServerUnaryReactor* RuntimeService::ContainerStatus(
    CallbackServerContext* context, const v1::ContainerStatusRequest* request,
    v1::ContainerStatusResponse* response) {
  const absl::StatusOr<core::ContainerPtr> container =
      parts_.registry.FindContainer(request->container_id());
  if (container.ok()) {
    FillContainerStatus(*(*container)->facts(), request->verbose(), *response);
  }
  return AnswerNow(context, "ContainerStatus", container.status());
}

ServerUnaryReactor* RuntimeService::ContainerStats(
    CallbackServerContext* context, const v1::ContainerStatsRequest* request,
    v1::ContainerStatsResponse* response) {
  return AnswerFrom(parts_.lanes.query, context, "ContainerStats",
                    [this, request, response]() -> absl::Status {
                      ASSIGN_OR_RETURN(const core::ContainerPtr container,
                                       parts_.registry.FindContainer(
                                           request->container_id()));
                      FillStats(parts_.node.layout, *container->facts(),
                                *response->mutable_stats());
                      return absl::OkStatus();
                    });
}

ServerUnaryReactor* RuntimeService::ListContainerStats(
    CallbackServerContext* context,
    const v1::ListContainerStatsRequest* request,
    v1::ListContainerStatsResponse* response) {
  return AnswerFrom(parts_.lanes.query, context, "ListContainerStats",
                    [this, request, response] {
                      ListStats(parts_.node.layout, parts_.registry,
                                request->filter(), *response);
                      return absl::OkStatus();
                    });
}

}  // namespace caisson::cri
