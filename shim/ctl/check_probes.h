#pragma once

#include <string>

#include "absl/status/statusor.h"

// Facts of the machine, each found out by using it.  A value is what there is;
// an error says what is missing.  Single-threaded process only.
namespace caisson::ctl {

absl::StatusOr<std::string> ProbeKernel();
absl::StatusOr<std::string> ProbeErofs();
absl::StatusOr<std::string> ProbeOverlay();
absl::StatusOr<std::string> ProbeUserNamespaces();
absl::StatusOr<std::string> ProbeIdMappedMounts();
absl::StatusOr<std::string> ProbeCgroup2();
absl::StatusOr<std::string> ProbeControllers();
absl::StatusOr<std::string> ProbeSeccomp();
absl::StatusOr<std::string> ProbeLandlock();
absl::StatusOr<std::string> ProbePidfd();
absl::StatusOr<std::string> ProbeResourceCapability();

}  // namespace caisson::ctl
