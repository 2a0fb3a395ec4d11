#pragma once

#include "api/cri/v1/api.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/core/container.h"
#include "shim/core/registry.h"

// Statistics, read from the containers' cgroups now: not from memory, so on a
// thread that may wait.
namespace caisson::cri {

namespace v1 = ::runtime::v1;

void FillStats(const cgroup::Layout& layout,
               const core::ContainerFacts& container,
               v1::ContainerStats& stats);

// Of those that run and match.
void ListStats(const cgroup::Layout& layout, const core::Registry& registry,
               const v1::ContainerStatsFilter& filter,
               v1::ListContainerStatsResponse& response);

}  // namespace caisson::cri
