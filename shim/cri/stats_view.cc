#include "shim/cri/stats_view.h"

#include "absl/strings/match.h"
#include "runtime/base/clock.h"
#include "shim/cri/filter.h"

namespace caisson::cri {

void FillStats(const cgroup::Layout& layout,
               const core::ContainerFacts& container,
               v1::ContainerStats& stats) {
  v1::ContainerAttributes& attributes = *stats.mutable_attributes();
  attributes.set_id(container.record.id());
  *attributes.mutable_metadata() = container.config->metadata();
  *attributes.mutable_labels() = container.config->labels();
  *attributes.mutable_annotations() = container.config->annotations();
  const absl::StatusOr<cgroup::Cgroup> group =
      cgroup::Cgroup::Open(layout, container.record.cgroup());
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

void ListStats(const cgroup::Layout& layout, const core::Registry& registry,
               const v1::ContainerStatsFilter& filter,
               v1::ListContainerStatsResponse& response) {
  for (const core::ContainerPtr& container : registry.Containers()) {
    const core::ContainerFactsPtr facts = container->facts();
    if (facts->record.state() == state::v1::ContainerRecord::RUNNING &&
        absl::StartsWith(container->id(), filter.id()) &&
        absl::StartsWith(container->pod_id(), filter.pod_sandbox_id()) &&
        HasLabels(facts->config->labels(), filter.label_selector())) {
      FillStats(layout, *facts, *response.add_stats());
    }
  }
}

}  // namespace caisson::cri
