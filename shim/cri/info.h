#pragma once

#include <string>

#include "shim/core/pod.h"

namespace caisson::cri {

// The JSON of verbose status: facts that the kernel gave, ids of the range,
// times of the steps.
std::string PodInfo(const core::PodFacts& pod, const std::string& handler);
std::string ContainerInfo(const core::ContainerFacts& container);

}  // namespace caisson::cri
