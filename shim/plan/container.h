#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/cri/v1/api.pb.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/device/spec.h"
#include "runtime/identity/user_lookup.h"
#include "runtime/image/image_store.h"
#include "shim/config/config.h"
#include "shim/plan/selinux.h"

namespace caisson::plan {

enum class Seccomp { kDefault, kUnconfined, kLocalhost };

// What the machine's AppArmor has.
struct AppArmor {
  bool enabled = false;
  std::set<std::string> profiles;
};

// What a container's plan depends on beside the request.
struct ContainerInputs {
  const runtime::v1::ContainerConfig& config;
  const runtime::v1::PodSandboxConfig& pod_config;
  const image::ImageConfig& image;
  const identity::UserDatabase& users;
  const config::Config& daemon;
  // The pod's handler.
  std::string handler;
  config::Handler policy;
  // The machine's, for pods that share its network.
  std::string node_hostname;
  // The pod has a range of its own.
  bool own_users = false;
  // Files of ours for the container: directory with resolv.conf, hostname
  // and hosts.
  std::string pod_directory;
  AppArmor apparmor;
  Selinux selinux;
  // The SELinux level of the pod; empty without SELinux.
  std::string selinux_level;
  // Of its CDI devices.
  device::Edits edits;
  // Of each CPU of the machine; masked beside what is always masked.
  absl::Span<const std::string> thermal_throttle;
};

// A checked CreateContainer request, as what is to be done.
struct ContainerDecision {
  cgroup::Limits limits;
  Seccomp seccomp = Seccomp::kDefault;
  std::string seccomp_path;  // kLocalhost
  // Absolute; empty: no log.
  std::string log_path;
  int stop_signal = 15;
  std::vector<uint32_t> ids;  // all that the process has, for the pod's map
  std::vector<device::Hook> hooks;
  // Without id, layers, directories, fds and seccomp program.
  keeper::v1::ContainerPlan plan;
};

// Pure.  InvalidArgument names the field and its value.
absl::StatusOr<ContainerDecision> PlanContainer(const ContainerInputs& inputs);

// labels.cc: the AppArmor profile and the SELinux contexts, which the policy
// may not have; after the mounts.  FailedPrecondition for a label that this
// machine can't give.
absl::Status ChooseLabels(const ContainerInputs& inputs,
                          ContainerDecision& decision);

// capabilities.cc: after the user is known.
absl::Status SetCapabilities(const ContainerInputs& inputs,
                             keeper::v1::Process& process);

// devices.cc: names of the CDI devices that a container asks for, by field or
// by annotation (cdi.k8s.io/...), each once.
absl::StatusOr<std::vector<std::string>> CdiNames(
    const runtime::v1::ContainerConfig& config);

// devices.cc: the request's devices and those of the edits, without their
// numbers.
absl::Status AddDevices(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan);

// paths.cc: the masked and the read-only paths.
absl::Status SetPaths(const ContainerInputs& inputs,
                      keeper::v1::ContainerPlan& plan);

// volumes.cc: the volumes that the image declares and no mount of the plan
// covers, where the root is read-only.
absl::Status AddVolumes(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan);

// Without double slashes, "." and the last slash.
std::string CleanPath(absl::string_view path);

// mounts.cc: the volumes and the files every container gets, parents first.
absl::Status AddMounts(const ContainerInputs& inputs,
                       keeper::v1::ContainerPlan& plan);

}  // namespace caisson::plan
