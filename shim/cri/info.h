#pragma once

#include <string>

#include "shim/cri/objects.h"

namespace caisson::cri {

// The JSON of verbose status: facts that the kernel gave, ids of the range,
// times of the steps.  Under the object's mutex.
std::string PodInfo(const Sandbox& pod, const std::string& handler);
std::string ContainerInfo(const Container& container);

}  // namespace caisson::cri
