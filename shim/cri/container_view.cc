#include "shim/cri/container_view.h"

#include "absl/strings/match.h"
#include "shim/cri/filter.h"
#include "shim/cri/info.h"
#include "shim/plan/signal.h"

namespace caisson::cri {
namespace {

using state::v1::ContainerRecord;

v1::ContainerState StateOf(const core::ContainerFacts& container) {
  switch (container.record.state()) {
    case ContainerRecord::CREATED:
      return v1::CONTAINER_CREATED;
    case ContainerRecord::RUNNING:
      return v1::CONTAINER_RUNNING;
    case ContainerRecord::EXITED:
      return v1::CONTAINER_EXITED;
    default:
      return v1::CONTAINER_UNKNOWN;
  }
}

void FillUser(const core::ContainerFacts& container,
              v1::ContainerStatus& status) {
  keeper::v1::ReadBack facts;
  facts.ParseFromString(container.record.read_back());
  v1::LinuxContainerUser& user = *status.mutable_user()->mutable_linux();
  user.set_uid(facts.uid());
  user.set_gid(facts.gid());
  for (const uint32_t group : facts.groups()) {
    user.add_supplemental_groups(group);
  }
}

void FillStatus(const core::ContainerFacts& container,
                v1::ContainerStatus& status) {
  const ContainerRecord& record = container.record;
  status.set_id(record.id());
  *status.mutable_metadata() = container.config->metadata();
  status.set_state(StateOf(container));
  status.set_created_at(record.created_at());
  status.set_started_at(record.started_at());
  status.set_finished_at(record.finished_at());
  status.set_exit_code(record.exit_code());
  *status.mutable_image() = container.config->image();
  status.set_image_ref(record.image_ref());
  status.set_image_id(record.image_id());
  if (record.state() == ContainerRecord::EXITED) {
    status.set_reason(record.reason());
    status.set_message(record.message());
  }
  *status.mutable_labels() = container.config->labels();
  *status.mutable_annotations() = container.config->annotations();
  *status.mutable_mounts() = container.config->mounts();
  status.set_log_path(record.log_path());
  if (container.config->linux().has_resources()) {
    *status.mutable_resources()->mutable_linux() =
        container.config->linux().resources();
  }
  status.set_stop_signal(plan::ToCri(record.stop_signal()));
  FillUser(container, status);
}

}  // namespace

void FillContainerStatus(const core::ContainerFacts& container, bool verbose,
                         v1::ContainerStatusResponse& response) {
  FillStatus(container, *response.mutable_status());
  if (verbose) {
    (*response.mutable_info())["info"] = ContainerInfo(container);
  }
}

void ListContainers(const core::Registry& registry,
                    const v1::ContainerFilter& filter,
                    v1::ListContainersResponse& response) {
  for (const core::ContainerPtr& container : registry.Containers()) {
    const core::ContainerFactsPtr facts = container->facts();
    const v1::ContainerState state = StateOf(*facts);
    // Nobody has the id of one that is being made.
    if (facts->record.state() == ContainerRecord::CREATING ||
        !absl::StartsWith(container->id(), filter.id()) ||
        !absl::StartsWith(container->pod_id(), filter.pod_sandbox_id()) ||
        (filter.has_state() && filter.state().state() != state) ||
        !HasLabels(facts->config->labels(), filter.label_selector())) {
      continue;
    }
    v1::Container& item = *response.add_containers();
    item.set_id(container->id());
    item.set_pod_sandbox_id(container->pod_id());
    *item.mutable_metadata() = facts->config->metadata();
    *item.mutable_image() = facts->config->image();
    item.set_image_ref(facts->record.image_ref());
    item.set_image_id(facts->record.image_id());
    item.set_state(state);
    item.set_created_at(facts->record.created_at());
    *item.mutable_labels() = facts->config->labels();
    *item.mutable_annotations() = facts->config->annotations();
  }
}

}  // namespace caisson::cri
