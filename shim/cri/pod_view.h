#pragma once

#include <string>

#include "api/cri/v1/api.pb.h"
#include "shim/core/pod.h"
#include "shim/core/registry.h"

// Pods as the CRI shows them, from memory.
namespace caisson::cri {

namespace v1 = ::runtime::v1;

// `handler`: the name of its own, never empty.
void FillPodStatus(const core::PodFacts& pod, const std::string& handler,
                   bool verbose, v1::PodSandboxStatusResponse& response);

// Those that match; not those that are still being made.
void ListPods(const core::Registry& registry,
              const v1::PodSandboxFilter& filter,
              v1::ListPodSandboxResponse& response);

}  // namespace caisson::cri
