#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/program.h"
#include "runtime/keeper/step.h"
#include "runtime/mount/source.h"
#include "runtime/rootfs/devices.h"

// The child's side of a container's set-up and of an exec: what runs between
// the keeper's fork and execve(2).
namespace caisson::keeper {

// The namespaces an exec joins, of a container's init.
struct ContainerNamespaces {
  UniqueFd mount;
  UniqueFd pid;
  UniqueFd cgroup;
  // The pid namespace is the host's: the keeper is in it already, and the
  // pod's ids may not enter it.
  bool pid_of_host = false;
};

// A mount of a hook in /proc or /sys.
struct HookMount {
  std::string stage_path;
  std::string target;  // in the container
};

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;

  bool operator==(const FileId&) const = default;
};

// All the child works with.  Fds are borrowed from the keeper but for those
// the child opens itself.
struct ChildContext {
  const Pod& pod;
  const v1::Process& process;
  // To the keeper: reports, and the byte that starts the program.
  int channel = -1;
  // -1: the container's own /dev/null, opened when its root is the process's.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // `tasks` of the v1 hierarchies.
  std::vector<int> tasks;

  // For a container's init only.
  const v1::ContainerPlan* plan = nullptr;
  // PID_POD and PID_TARGET: the namespace to be born in; -1 otherwise.
  int pid_namespace = -1;
  // For an exec only.
  const ContainerNamespaces* join = nullptr;

  // Filled by the steps.
  mount::Source shared_memory;
  // One a mount of the plan; of an image none, but its layers.
  std::vector<mount::Source> sources;
  std::map<int, std::vector<UniqueFd>> image_sources;
  // What was mounted for each but parts of the root, as fstat(2) tells it.
  std::map<int, FileId> volumes;
  std::vector<UniqueFd> layers;
  UniqueFd home;
  std::vector<rootfs::DeviceSource> devices;
  std::vector<HookMount> hook_mounts;
  UniqueFd root;
  UniqueFd proc;
  UniqueFd terminal;
  // Ready to be executed, and the filter to be loaded before: empty for none.
  Program program;
  std::vector<sock_filter> filter;
  v1::ReadBack read_back;
  StepTimes times;
  std::string failed;

  // Whether device nodes in its root and its /dev can be used: who has all
  // devices gains nothing by them.
  bool has_nodes() const { return plan->host_devices(); }
};

// Runs the table of a container's init, awaits its start and becomes the
// program.  Only in a child just forked.
[[noreturn]] void RunInit(ChildContext& context);

// Runs the table of an exec and becomes the program.
[[noreturn]] void RunExec(ChildContext& context);

StepNames InitStepNames();
// Of the exec's child.
StepNames ExecChildStepNames();

// The bodies of the steps, by topic.
namespace steps {

// init_namespaces.cc
absl::Status EnterControllers(ChildContext& context);
absl::Status SetRlimits(ChildContext& context);
absl::Status SetOomScore(ChildContext& context);
absl::Status ForbidTracing(ChildContext& context);
absl::Status EnterPodNamespaces(ChildContext& context);
absl::Status CreateOwnNamespaces(ChildContext& context);
absl::Status EnterContainerNamespaces(ChildContext& context);
absl::Status BecomeInit(ChildContext& context);
absl::Status StartSession(ChildContext& context);

// init_mounts.cc
absl::Status EnterHostMounts(ChildContext& context);
absl::Status TakeSources(ChildContext& context);
absl::Status EnterStage(ChildContext& context);
absl::Status MountRoot(ChildContext& context);
absl::Status MountVolumes(ChildContext& context);
absl::Status SealRoot(ChildContext& context);
absl::Status CloneRoot(ChildContext& context);
absl::Status MountKernelFilesystems(ChildContext& context);
absl::Status PivotRoot(ChildContext& context);
absl::Status HideKernelPaths(ChildContext& context);

// init_hooks.cc
absl::Status LendRootToHooks(ChildContext& context);
absl::Status RunStartHooks(ChildContext& context);

// init_devices.cc
absl::Status TakeDevices(ChildContext& context);
absl::Status CreateDevices(ChildContext& context);

// init_volumes.cc
absl::Status CheckVolumes(ChildContext& context);

// init_process.cc
absl::Status AttachStdio(ChildContext& context);
absl::Status EnterWorkingDirectory(ChildContext& context);
absl::Status SetSecurityLabels(ChildContext& context);
absl::Status CloseKeeperFiles(ChildContext& context);
absl::Status CloseOtherFiles(ChildContext& context);
absl::Status PrepareProgram(ChildContext& context);

// init_identity.cc
absl::Status ReadIdMaps(ChildContext& context);
absl::Status DropBoundingSet(ChildContext& context);
absl::Status SwitchUser(ChildContext& context);
absl::Status SetCapabilities(ChildContext& context);
absl::Status ForbidNewPrivileges(ChildContext& context);
absl::Status ReadBack(ChildContext& context);
absl::Status PrepareSeccomp(ChildContext& context);
// Not a step: nothing may run between the filter and the program but what
// every filter must allow.  In the init, or in a child of it that becomes a
// hook.  The error starts with "load-seccomp".
absl::Status LoadSeccomp(ChildContext& context);

}  // namespace steps
}  // namespace caisson::keeper
