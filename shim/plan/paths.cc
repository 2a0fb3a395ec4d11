#include <iterator>

#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

constexpr const char* kMaskedPaths[] = {
    "/proc/acpi",       "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq",
                                          "/proc/sys", "/proc/sysrq-trigger"};

}  // namespace

absl::Status SetPaths(const ContainerInputs& inputs,
                      keeper::v1::ContainerPlan& plan) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  const std::string field = "config.linux.security_context.";
  for (const std::string& path : security.masked_paths()) {
    RETURN_IF_ERROR(CheckPlainPath(field + "masked_paths", path));
  }
  for (const std::string& path : security.readonly_paths()) {
    RETURN_IF_ERROR(CheckPlainPath(field + "readonly_paths", path));
  }
  if (security.privileged()) {
    return absl::OkStatus();
  }
  *plan.mutable_masked_paths() = security.masked_paths();
  *plan.mutable_read_only_paths() = security.readonly_paths();
  // Empty lists of a client that speaks of security mean none at all: so
  // procMount "Unmasked" arrives.  One that doesn't means the usual.
  if (!inputs.config.linux().has_security_context()) {
    plan.mutable_masked_paths()->Assign(std::begin(kMaskedPaths),
                                        std::end(kMaskedPaths));
    plan.mutable_masked_paths()->Add(inputs.thermal_throttle.begin(),
                                     inputs.thermal_throttle.end());
    plan.mutable_read_only_paths()->Assign(std::begin(kReadOnlyPaths),
                                           std::end(kReadOnlyPaths));
  }
  return absl::OkStatus();
}

}  // namespace caisson::plan
