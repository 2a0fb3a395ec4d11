#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/cri/call.h"
#include "shim/cri/runtime_service.h"

namespace caisson::cri {
namespace {

using core::Operation;
using core::OperationTable;

// As long as the kubelet waits for a pod (its request's deadline is 4 min).
constexpr absl::Duration kRunTime = absl::Minutes(4);
constexpr absl::Duration kEndTime = absl::Minutes(2);

// The threads for a pod, which plugins may hold up if it has a network.
ThreadPool* LaneOf(const v1::PodSandboxConfig& config, ThreadPool& with_network,
                   ThreadPool& without) {
  const bool of_host =
      config.linux().security_context().namespace_options().network() ==
      v1::NODE;
  return of_host ? &without : &with_network;
}

Operation::Result AsResult(const absl::Status& status, const std::string& id) {
  return status.ok() ? Operation::Result(id) : Operation::Result(status);
}

}  // namespace

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

ServerUnaryReactor* RuntimeService::RunPodSandbox(
    CallbackServerContext* context, const v1::RunPodSandboxRequest* request,
    v1::RunPodSandboxResponse* response) {
  const v1::PodSandboxMetadata& metadata = request->config().metadata();
  OperationTable::Request operation{
      absl::StrCat("run pod ", core::NameKey(metadata)), "run pod sandbox",
      kRunTime,
      LaneOf(request->config(), parts_.lanes.attach, parts_.lanes.start)};
  // The request ends with its caller's waiting, the operation may not.
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([this, copy = *request](Operation& it) {
                    return parts_.run_pod.Run(copy, it);
                  }),
                  context, "RunPodSandbox", [response](const std::string& id) {
                    response->set_pod_sandbox_id(id);
                  });
}

ServerUnaryReactor* RuntimeService::StopPodSandbox(
    CallbackServerContext* context, const v1::StopPodSandboxRequest* request,
    v1::StopPodSandboxResponse*) {
  const absl::StatusOr<core::PodPtr> found =
      parts_.registry.FindPod(request->pod_sandbox_id());
  if (!found.ok()) {
    // "Everything already gone is success."
    return AnswerNow(
        context, "StopPodSandbox",
        absl::IsNotFound(found.status()) ? absl::OkStatus() : found.status());
  }
  const core::PodPtr pod = *found;
  OperationTable::Request operation{
      absl::StrCat("stop pod ", pod->id()),
      absl::StrCat("stop pod sandbox ", pod->id()), kEndTime,
      LaneOf(*pod->facts()->config, parts_.lanes.detach, parts_.lanes.stop)};
  return AnswerBy(
      parts_.operations, std::move(operation),
      Blocking([this, pod](Operation& it) {
        it.Enter("stop");
        const absl::Status status = parts_.pod_ending.Stop(pod, it.deadline());
        if (!status.ok()) {
          parts_.detach_queue.Add(pod, ops::DetachQueue::Then::kNothing);
        }
        return AsResult(status, pod->id());
      }),
      context, "StopPodSandbox", nullptr);
}

ServerUnaryReactor* RuntimeService::RemovePodSandbox(
    CallbackServerContext* context, const v1::RemovePodSandboxRequest* request,
    v1::RemovePodSandboxResponse*) {
  const absl::StatusOr<core::PodPtr> found =
      parts_.registry.FindPod(request->pod_sandbox_id());
  if (!found.ok()) {
    return AnswerNow(
        context, "RemovePodSandbox",
        absl::IsNotFound(found.status()) ? absl::OkStatus() : found.status());
  }
  const core::PodPtr pod = *found;
  OperationTable::Request operation{
      absl::StrCat("remove pod ", pod->id()),
      absl::StrCat("remove pod sandbox ", pod->id()), kEndTime,
      LaneOf(*pod->facts()->config, parts_.lanes.detach, parts_.lanes.stop)};
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([this, pod](Operation& it) {
                    it.Enter("remove");
                    const absl::Status status =
                        parts_.pod_ending.Remove(pod, it.deadline());
                    if (!status.ok()) {
                      parts_.detach_queue.Add(pod,
                                              ops::DetachQueue::Then::kRemove);
                    }
                    return AsResult(status, pod->id());
                  }),
                  context, "RemovePodSandbox", nullptr);
}

ServerUnaryReactor* RuntimeService::UpdatePodSandboxResources(
    CallbackServerContext* context,
    const v1::UpdatePodSandboxResourcesRequest* request,
    v1::UpdatePodSandboxResourcesResponse*) {
  const absl::StatusOr<core::PodPtr> pod =
      parts_.registry.FindPod(request->pod_sandbox_id());
  if (!pod.ok()) {
    return AnswerNow(context, "UpdatePodSandboxResources", pod.status());
  }
  OperationTable::Request operation{
      "", absl::StrCat("update pod sandbox ", (*pod)->id()), kEndTime,
      &parts_.lanes.start};
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([this, pod = *pod, copy = *request](Operation& it) {
                    it.Enter("change limits");
                    return AsResult(parts_.update_resources.Update(*pod, copy),
                                    pod->id());
                  }),
                  context, "UpdatePodSandboxResources", nullptr);
}

}  // namespace caisson::cri
