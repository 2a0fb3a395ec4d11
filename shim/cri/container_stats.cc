#include "absl/strings/match.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "shim/cri/filter.h"
#include "shim/cri/runtime.h"

namespace caisson::cri {

void Runtime::FillStats(Container& container, v1::ContainerStats& stats) {
  v1::ContainerAttributes& attributes = *stats.mutable_attributes();
  attributes.set_id(container.id);
  *attributes.mutable_metadata() = container.config.metadata();
  *attributes.mutable_labels() = container.config.labels();
  *attributes.mutable_annotations() = container.config.annotations();
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(parts_.layout, container.record.cgroup());
  if (!group.ok()) {
    return;
  }
  const int64_t now = NowNanos();
  if (const absl::StatusOr<uint64_t> used = group->CpuUsage(); used.ok()) {
    stats.mutable_cpu()->set_timestamp(now);
    stats.mutable_cpu()->mutable_usage_core_nano_seconds()->set_value(*used);
  }
  if (const absl::StatusOr<uint64_t> used = group->MemoryUsage(); used.ok()) {
    stats.mutable_memory()->set_timestamp(now);
    stats.mutable_memory()->mutable_usage_bytes()->set_value(*used);
  }
}

absl::Status Runtime::ContainerStats(const v1::ContainerStatsRequest& request,
                                     v1::ContainerStatsResponse& response) {
  ASSIGN_OR_RETURN(const ContainerPtr container,
                   FindContainer(request.container_id()));
  const std::lock_guard<std::mutex> lock(container->mutex);
  FillStats(*container, *response.mutable_stats());
  return absl::OkStatus();
}

void Runtime::ListContainerStats(const v1::ContainerStatsFilter& filter,
                                 v1::ListContainerStatsResponse& response) {
  std::vector<ContainerPtr> all;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [id, container] : containers_) {
      all.push_back(container);
    }
  }
  for (const ContainerPtr& container : all) {
    const std::lock_guard<std::mutex> lock(container->mutex);
    if (container->record.state() == state::v1::ContainerRecord::RUNNING &&
        absl::StartsWith(container->id, filter.id()) &&
        absl::StartsWith(container->pod_id, filter.pod_sandbox_id()) &&
        HasLabels(container->config.labels(), filter.label_selector())) {
      FillStats(*container, *response.add_stats());
    }
  }
}

}  // namespace caisson::cri
