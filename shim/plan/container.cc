#include "shim/plan/container.h"

#include <sys/resource.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/environment.h"
#include "shim/plan/pod.h"
#include "shim/plan/resources.h"
#include "shim/plan/signal.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kDefaultStopSignal = 15;

const cri::LinuxContainerSecurityContext& Security(
    const ContainerInputs& inputs) {
  return inputs.config.linux().security_context();
}

absl::Status CheckConfig(const ContainerInputs& inputs) {
  const cri::ContainerConfig& config = inputs.config;
  if (!config.has_metadata()) {
    return Refuse("config.metadata", "", "is missing");
  }
  RETURN_IF_ERROR(
      CheckName("config.metadata.name", config.metadata().name(), false));
  for (const cri::KeyValue& env : config.envs()) {
    if (env.key().empty() || absl::StrContains(env.key(), "=") ||
        env.key().find('\0') != std::string::npos) {
      return Refuse("config.envs", env.key(), "is not a variable's name");
    }
    if (env.value().find('\0') != std::string::npos) {
      return Refuse("config.envs", env.key(), "has a NUL byte in its value");
    }
  }
  for (const std::string& entry : inputs.image.env) {
    if (entry.find('\0') != std::string::npos) {
      return Refuse("environment of the image", entry, "has a NUL byte");
    }
  }
  return absl::OkStatus();
}

absl::Status SetCommand(const ContainerInputs& inputs,
                        keeper::v1::Process& process) {
  const cri::ContainerConfig& config = inputs.config;
  std::vector<std::string> argv(config.command().begin(),
                                config.command().end());
  std::vector<std::string> args(config.args().begin(), config.args().end());
  // A command of the request replaces the image's arguments as well.
  if (argv.empty()) {
    argv = inputs.image.entrypoint;
    if (args.empty()) {
      args = inputs.image.command;
    }
  }
  argv.insert(argv.end(), args.begin(), args.end());
  if (argv.empty() || argv.front().empty()) {
    return Refuse("config.command", "", "is missing, and the image has none");
  }
  for (const std::string& word : argv) {
    if (word.find('\0') != std::string::npos) {
      return Refuse("config.command", word, "has a NUL byte");
    }
  }
  process.mutable_argv()->Assign(argv.begin(), argv.end());
  return absl::OkStatus();
}

void SetEnvironment(const ContainerInputs& inputs, const std::string& home,
                    keeper::v1::Process& process) {
  Environment env;
  env.Set("PATH", kDefaultPath);
  for (const std::string& entry : inputs.image.env) {
    env.SetEntry(entry);
  }
  for (const cri::KeyValue& entry : inputs.config.envs()) {
    env.Set(entry.key(), entry.value());
  }
  for (const std::string& entry : inputs.edits.env) {
    env.SetEntry(entry);
  }
  if (!env.Has("HOME")) {
    env.Set("HOME", home);
  }
  const std::string hostname =
      PodHostname(inputs.pod_config, inputs.node_hostname);
  if (!env.Has("HOSTNAME") && !hostname.empty()) {
    env.Set("HOSTNAME", hostname);
  }
  if (inputs.config.tty() && !env.Has("TERM")) {
    env.Set("TERM", "xterm");
  }
  const std::vector<std::string> all = env.Take();
  process.mutable_env()->Assign(all.begin(), all.end());
}

absl::Status SetWorkingDirectory(const ContainerInputs& inputs,
                                 keeper::v1::Process& process) {
  std::string directory = inputs.config.working_dir().empty()
                              ? inputs.image.working_dir
                              : inputs.config.working_dir();
  if (directory.empty()) {
    directory.assign(1, '/');
  }
  RETURN_IF_ERROR(CheckAbsolutePath("config.working_dir", directory));
  process.set_working_directory(directory);
  return absl::OkStatus();
}

absl::StatusOr<identity::User> SetUser(const ContainerInputs& inputs,
                                       keeper::v1::Process& process) {
  const cri::LinuxContainerSecurityContext& security = Security(inputs);
  if (security.has_run_as_user() && !security.run_as_username().empty()) {
    return Refuse("config.linux.security_context.run_as_username",
                  security.run_as_username(), "stands beside a run_as_user");
  }
  identity::UserRequest request;
  request.has_uid = security.has_run_as_user();
  request.uid = security.run_as_user().value();
  request.username = security.run_as_username();
  request.has_gid = security.has_run_as_group();
  request.gid = security.run_as_group().value();
  request.supplemental_groups.assign(security.supplemental_groups().begin(),
                                     security.supplemental_groups().end());
  request.strict_groups = security.supplemental_groups_policy() ==
                          cri::SupplementalGroupsPolicy::Strict;
  request.image_user = inputs.image.user;
  absl::StatusOr<identity::User> user =
      identity::ResolveUser(request, inputs.users);
  if (!user.ok()) {
    // A name that the image lacks is the request's fault as well: NotFound
    // would tell the client that the pod or the image is gone.
    return absl::InvalidArgumentError(
        absl::StrCat("check user: ", user.status().message()));
  }
  process.set_uid(user->uid);
  process.set_gid(user->gid);
  process.mutable_groups()->Assign(user->groups.begin(), user->groups.end());
  return user;
}

// The form of before Kubernetes 1.27: one string, deprecated and still sent.
// The kubelet always names a profile; nobody's silence means none in the CRI.
absl::Status ReadOldSeccomp(const cri::LinuxContainerSecurityContext& security,
                            ContainerDecision& decision) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  absl::string_view profile = security.seccomp_profile_path();
#pragma GCC diagnostic pop
  const char* const field =
      "config.linux.security_context.seccomp_profile_path";
  if (profile == "runtime/default" || profile == "docker/default") {
    return absl::OkStatus();
  }
  if (profile.empty() || profile == "unconfined") {
    decision.seccomp = Seccomp::kUnconfined;
    return absl::OkStatus();
  }
  if (!absl::ConsumePrefix(&profile, "localhost/")) {
    return Refuse(field, profile, "is not a kind of profile");
  }
  decision.seccomp = Seccomp::kLocalhost;
  decision.seccomp_path = std::string(profile);
  return CheckAbsolutePath(field, decision.seccomp_path);
}

absl::Status ChooseSeccomp(const ContainerInputs& inputs,
                           ContainerDecision& decision) {
  const cri::LinuxContainerSecurityContext& security = Security(inputs);
  if (security.privileged()) {
    decision.seccomp = Seccomp::kUnconfined;
    return absl::OkStatus();
  }
  if (!security.has_seccomp()) {
    return ReadOldSeccomp(security, decision);
  }
  switch (security.seccomp().profile_type()) {
    case cri::SecurityProfile::RuntimeDefault:
      return absl::OkStatus();
    case cri::SecurityProfile::Unconfined:
      decision.seccomp = Seccomp::kUnconfined;
      return absl::OkStatus();
    case cri::SecurityProfile::Localhost:
      decision.seccomp = Seccomp::kLocalhost;
      decision.seccomp_path = security.seccomp().localhost_ref();
      return CheckAbsolutePath(
          "config.linux.security_context.seccomp.localhost_ref",
          decision.seccomp_path);
    default:
      // Not the default profile: who asks for what we don't know may mean
      // something stricter.
      return Refuse("config.linux.security_context.seccomp.profile_type",
                    absl::StrCat(security.seccomp().profile_type()),
                    "is unknown");
  }
}

absl::Status SetLimits(const cri::LinuxContainerResources& resources,
                       ContainerDecision& decision) {
  ASSIGN_OR_RETURN(decision.limits,
                   PlanLimits(resources, "config.linux.resources"));
  decision.plan.mutable_process()->set_oom_score_adj(
      static_cast<int32_t>(resources.oom_score_adj()));
  return absl::OkStatus();
}

absl::Status SetLog(const ContainerInputs& inputs,
                    ContainerDecision& decision) {
  const std::string& path = inputs.config.log_path();
  if (path.empty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckText("config.log_path", path, 4095, false));
  if (absl::StartsWith(path, "/") || absl::EndsWith(path, "/") ||
      absl::EndsWith(absl::StrCat("/", path), "/.") ||
      absl::StrContains(absl::StrCat("/", path, "/"), "/../")) {
    return Refuse("config.log_path", path,
                  "is not a path below the log directory");
  }
  const std::string& directory = inputs.pod_config.log_directory();
  if (directory.empty()) {
    return Refuse("config.log_path", path, "has no log directory");
  }
  decision.log_path = absl::StrCat(directory, "/", path);
  return absl::OkStatus();
}

absl::Status SetPidMode(const ContainerInputs& inputs,
                        keeper::v1::ContainerPlan& plan) {
  const cri::NamespaceOption& options = Security(inputs).namespace_options();
  switch (options.pid()) {
    case cri::POD:
      plan.set_pid_mode(keeper::v1::ContainerPlan::PID_POD);
      return absl::OkStatus();
    case cri::NODE:
      plan.set_pid_mode(keeper::v1::ContainerPlan::PID_NODE);
      return absl::OkStatus();
    case cri::TARGET:
      plan.set_pid_mode(keeper::v1::ContainerPlan::PID_TARGET);
      plan.set_pid_target(options.target_id());
      return CheckText(
          "config.linux.security_context.namespace_options.target_id",
          options.target_id(), 64, false);
    case cri::CONTAINER:
      plan.set_pid_mode(keeper::v1::ContainerPlan::PID_CONTAINER);
      return absl::OkStatus();
    default:
      return Refuse("config.linux.security_context.namespace_options.pid",
                    absl::StrCat(static_cast<int>(options.pid())),
                    "is unknown");
  }
}

absl::Status SetStopSignal(const ContainerInputs& inputs,
                           ContainerDecision& decision) {
  ASSIGN_OR_RETURN(const int asked, FromCri(inputs.config.stop_signal()));
  decision.stop_signal = asked;
  if (asked == 0 && !inputs.image.stop_signal.empty()) {
    // The image's word, which may be nonsense; then it counts for nothing.
    const absl::StatusOr<int> parsed = ParseSignal(inputs.image.stop_signal);
    decision.stop_signal = parsed.ok() ? *parsed : 0;
  }
  if (decision.stop_signal == 0) {
    decision.stop_signal = kDefaultStopSignal;
  }
  return absl::OkStatus();
}

absl::Status AddGroups(const ContainerInputs& inputs,
                       ContainerDecision& decision) {
  keeper::v1::Process& process = *decision.plan.mutable_process();
  std::set<uint32_t> groups(process.groups().begin(), process.groups().end());
  for (const uint32_t id : inputs.edits.groups) {
    RETURN_IF_ERROR(CheckId("additionalGids of a CDI device", id));
    if (groups.insert(id).second) {
      process.add_groups(id);
      decision.ids.push_back(id);
    }
  }
  return absl::OkStatus();
}

absl::Status SetProcess(const ContainerInputs& inputs,
                        ContainerDecision& decision) {
  keeper::v1::Process& process = *decision.plan.mutable_process();
  RETURN_IF_ERROR(SetCommand(inputs, process));
  RETURN_IF_ERROR(SetWorkingDirectory(inputs, process));
  ASSIGN_OR_RETURN(const identity::User user, SetUser(inputs, process));
  decision.ids.push_back(user.uid);
  decision.ids.insert(decision.ids.end(), user.groups.begin(),
                      user.groups.end());
  RETURN_IF_ERROR(AddGroups(inputs, decision));
  SetEnvironment(inputs, user.home, process);
  RETURN_IF_ERROR(SetCapabilities(inputs, process));
  process.set_no_new_privileges(Security(inputs).no_new_privs());
  process.set_tty(inputs.config.tty());
  process.set_umask(022);
  keeper::v1::Rlimit& files = *process.add_rlimits();
  files.set_resource(RLIMIT_NOFILE);
  files.set_soft(inputs.daemon.limits.nofile_soft);
  files.set_hard(inputs.daemon.limits.nofile_hard);
  for (const auto& [name, limit] : inputs.daemon.limits.rlimits) {
    keeper::v1::Rlimit& other = *process.add_rlimits();
    other.set_resource(limit.resource);
    other.set_soft(limit.soft);
    other.set_hard(limit.hard);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ContainerDecision> PlanContainer(const ContainerInputs& inputs) {
  ContainerDecision decision;
  RETURN_IF_ERROR(CheckConfig(inputs));
  RETURN_IF_ERROR(SetProcess(inputs, decision));
  RETURN_IF_ERROR(ChooseSeccomp(inputs, decision));
  RETURN_IF_ERROR(SetLimits(inputs.config.linux().resources(), decision));
  RETURN_IF_ERROR(SetLog(inputs, decision));
  RETURN_IF_ERROR(SetPidMode(inputs, decision.plan));
  RETURN_IF_ERROR(AddDevices(inputs, decision.plan));
  for (const keeper::v1::Device& device : decision.plan.devices()) {
    decision.ids.push_back(device.uid());
    decision.ids.push_back(device.gid());
  }
  decision.hooks = inputs.edits.hooks;
  RETURN_IF_ERROR(SetStopSignal(inputs, decision));
  const cri::LinuxContainerSecurityContext& security = Security(inputs);
  decision.plan.set_read_only_root(security.readonly_rootfs());
  decision.plan.set_privileged(security.privileged());
  // A pod with ids of its own could open none of them.
  decision.plan.set_host_devices(
      security.privileged() && !inputs.own_users &&
      !inputs.policy.privileged_without_host_devices);
  decision.plan.set_stdin_open(inputs.config.stdin());
  decision.plan.set_stdin_once(inputs.config.stdin_once());
  RETURN_IF_ERROR(SetPaths(inputs, decision.plan));
  RETURN_IF_ERROR(AddMounts(inputs, decision.plan));
  RETURN_IF_ERROR(ChooseLabels(inputs, decision));
  return decision;
}

}  // namespace caisson::plan
