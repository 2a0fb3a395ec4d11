#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "api/cri/v1/api.pb.h"
#include "shim/ctl/arguments.h"

namespace caisson::ctl {

// The label by which a run finds its pod, whatever call was interrupted.
inline constexpr char kRunLabel[] = "caissonctl.run";

// The pod for `options`, with the namespaces and the filter that the kubelet
// asks for.  `id` is new for every run.
::runtime::v1::PodSandboxConfig PodConfig(const RunOptions& options,
                                          const std::string& id,
                                          const std::string& log_directory);

// The container; InvalidArgument names the option that can't be read.
absl::StatusOr<::runtime::v1::ContainerConfig> ContainerConfigOf(
    const RunOptions& options, const std::string& image_ref);

}  // namespace caisson::ctl
