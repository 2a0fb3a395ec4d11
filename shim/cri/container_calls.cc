#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "shim/cri/call.h"
#include "shim/cri/runtime_service.h"
#include "shim/ops/reopen_log.h"

namespace caisson::cri {
namespace {

using core::Operation;
using core::OperationTable;

// As long as the kubelet waits for one call.
constexpr absl::Duration kCallTime = absl::Minutes(2);
// Longer waits are as good as endless.
constexpr int64_t kLongestSeconds = 365 * 24 * 3600;

Operation::Result AsResult(const absl::Status& status, const std::string& id) {
  return status.ok() ? Operation::Result(id) : Operation::Result(status);
}

absl::Status UnlessGone(const absl::Status& status) {
  // "Everything already gone is success."
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

ServerUnaryReactor* RuntimeService::CreateContainer(
    CallbackServerContext* context, const v1::CreateContainerRequest* request,
    v1::CreateContainerResponse* response) {
  const absl::StatusOr<core::PodPtr> pod =
      parts_.registry.FindPod(request->pod_sandbox_id());
  const absl::Status usable =
      pod.ok() ? (*pod)->UsableKeeper().status() : pod.status();
  if (!usable.ok()) {
    return AnswerNow(context, "CreateContainer",
                     Annotate(usable, "create container"));
  }
  const v1::ContainerMetadata& metadata = request->config().metadata();
  OperationTable::Request operation{
      absl::StrCat("create ", core::NameKey((*pod)->id(), metadata)),
      absl::StrCat("create container ", metadata.name()), kCallTime,
      &parts_.lanes.start};
  return AnswerBy(
      parts_.operations, std::move(operation),
      Blocking([this, pod = *pod, copy = *request](Operation& it) {
        return parts_.create_container.Run(copy, pod, it);
      }),
      context, "CreateContainer",
      [response](const std::string& id) { response->set_container_id(id); });
}

ServerUnaryReactor* RuntimeService::StartContainer(
    CallbackServerContext* context, const v1::StartContainerRequest* request,
    v1::StartContainerResponse*) {
  const absl::StatusOr<core::ContainerPtr> found =
      parts_.registry.FindContainer(request->container_id());
  if (!found.ok()) {
    return AnswerNow(context, "StartContainer",
                     Annotate(found.status(), "start container"));
  }
  const core::ContainerPtr container = *found;
  const std::string name = container->facts()->config->metadata().name();
  OperationTable::Request operation{absl::StrCat("start ", container->id()),
                                    absl::StrCat("start container ", name),
                                    kCallTime, &parts_.lanes.start};
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([this, container](Operation& it) {
                    return AsResult(parts_.start_container.Run(container, it),
                                    container->id());
                  }),
                  context, "StartContainer", nullptr);
}

ServerUnaryReactor* RuntimeService::StopContainer(
    CallbackServerContext* context, const v1::StopContainerRequest* request,
    v1::StopContainerResponse*) {
  const absl::StatusOr<core::ContainerPtr> found =
      parts_.registry.FindContainer(request->container_id());
  if (!found.ok()) {
    return AnswerNow(context, "StopContainer", UnlessGone(found.status()));
  }
  const core::ContainerPtr container = *found;
  const absl::Duration grace = absl::Seconds(
      std::clamp<int64_t>(request->timeout(), 0, kLongestSeconds));
  // A stop that is under way already hears of it, too.
  container->StopBy(Deadline::After(grace));
  OperationTable::Request operation{
      absl::StrCat("stop ", container->id()),
      absl::StrCat("stop container ", container->id()), grace + kCallTime,
      &parts_.lanes.stop};
  return AnswerBy(
      parts_.operations, std::move(operation),
      [this, container](const core::OperationPtr& it) {
        parts_.stop_container.Run(container, it);
      },
      context, "StopContainer", nullptr);
}

ServerUnaryReactor* RuntimeService::RemoveContainer(
    CallbackServerContext* context, const v1::RemoveContainerRequest* request,
    v1::RemoveContainerResponse*) {
  const absl::StatusOr<core::ContainerPtr> found =
      parts_.registry.FindContainer(request->container_id());
  if (!found.ok()) {
    return AnswerNow(context, "RemoveContainer", UnlessGone(found.status()));
  }
  const core::ContainerPtr container = *found;
  container->StopBy(Deadline());
  OperationTable::Request operation{
      absl::StrCat("remove ", container->id()),
      absl::StrCat("remove container ", container->id()), kCallTime,
      &parts_.lanes.stop};
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([this, container](Operation& it) {
                    it.Enter("kill");
                    absl::Status status =
                        parts_.container_ending.Kill(container, it.deadline());
                    if (status.ok()) {
                      it.Enter("remove");
                      status = parts_.container_ending.Remove(container,
                                                              it.deadline());
                    }
                    return AsResult(status, container->id());
                  }),
                  context, "RemoveContainer", nullptr);
}

ServerUnaryReactor* RuntimeService::ReopenContainerLog(
    CallbackServerContext* context,
    const v1::ReopenContainerLogRequest* request,
    v1::ReopenContainerLogResponse*) {
  const absl::StatusOr<core::ContainerPtr> found =
      parts_.registry.FindContainer(request->container_id());
  const absl::StatusOr<core::PodPtr> pod =
      found.ok() ? parts_.registry.FindPod((*found)->pod_id())
                 : absl::StatusOr<core::PodPtr>(found.status());
  if (!pod.ok()) {
    return AnswerNow(context, "ReopenContainerLog", pod.status());
  }
  const core::ContainerPtr container = *found;
  OperationTable::Request operation{
      "", absl::StrCat("reopen log of container ", container->id()), kCallTime,
      &parts_.lanes.start};
  return AnswerBy(parts_.operations, std::move(operation),
                  Blocking([container, pod = *pod](Operation& it) {
                    it.Enter("reopen log");
                    return AsResult(ops::ReopenLog(*pod, *container, it),
                                    container->id());
                  }),
                  context, "ReopenContainerLog", nullptr);
}

ServerUnaryReactor* RuntimeService::ExecSync(CallbackServerContext* context,
                                             const v1::ExecSyncRequest* request,
                                             v1::ExecSyncResponse* response) {
  const absl::Status checked = ops::ExecSync::Check(*request);
  if (!checked.ok()) {
    return AnswerNow(context, "ExecSync", Annotate(checked, "exec"));
  }
  const bool limited =
      request->timeout() > 0 && request->timeout() < kLongestSeconds;
  const absl::Duration time =
      limited ? absl::Seconds(request->timeout()) : absl::InfiniteDuration();
  auto answer = std::make_shared<ops::ExecSync::Answer>();
  OperationTable::Request operation{
      "", absl::StrCat("exec in container ", request->container_id()),
      time + kCallTime, &parts_.lanes.exec};
  return AnswerBy(
      parts_.operations, std::move(operation),
      [this, copy = *request, timeout = Deadline::After(time),
       answer](const core::OperationPtr& it) {
        parts_.exec_sync.Run(copy, timeout, it, answer);
      },
      context, "ExecSync",
      [response, answer](const std::string&) {
        response->set_exit_code(answer->exit_code);
        response->mutable_stdout()->swap(answer->output.out);
        response->mutable_stderr()->swap(answer->output.err);
      });
}

ServerUnaryReactor* RuntimeService::UpdateContainerResources(
    CallbackServerContext* context,
    const v1::UpdateContainerResourcesRequest* request,
    v1::UpdateContainerResourcesResponse*) {
  const absl::StatusOr<core::ContainerPtr> container =
      parts_.registry.FindContainer(request->container_id());
  if (!container.ok()) {
    return AnswerNow(context, "UpdateContainerResources", container.status());
  }
  OperationTable::Request operation{
      "", absl::StrCat("update container ", (*container)->id()), kCallTime,
      &parts_.lanes.start};
  return AnswerBy(
      parts_.operations, std::move(operation),
      Blocking([this, container = *container, copy = *request](Operation& it) {
        it.Enter("change limits");
        return AsResult(
            parts_.update_resources.Update(*container, copy.linux()),
            container->id());
      }),
      context, "UpdateContainerResources", nullptr);
}

}  // namespace caisson::cri
