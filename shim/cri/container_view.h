#pragma once

#include "api/cri/v1/api.pb.h"
#include "shim/core/container.h"
#include "shim/core/registry.h"

// Containers as the CRI shows them, from memory.
namespace caisson::cri {

namespace v1 = ::runtime::v1;

void FillContainerStatus(const core::ContainerFacts& container, bool verbose,
                         v1::ContainerStatusResponse& response);

// Those that match; not those that are still being made.
void ListContainers(const core::Registry& registry,
                    const v1::ContainerFilter& filter,
                    v1::ListContainersResponse& response);

}  // namespace caisson::cri
