#include "shim/ctl/run_request.h"

#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"

namespace caisson::ctl {
namespace {

namespace cri = ::runtime::v1;

// What the kubelet sends for a pod that says nothing about /proc.
constexpr const char* kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap",
};
constexpr const char* kReadOnly[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

void SetNamespaces(const RunOptions& options, cri::NamespaceOption& spaces) {
  spaces.set_network(options.host_network ? cri::NODE : cri::POD);
  spaces.set_pid(cri::CONTAINER);
  spaces.set_ipc(cri::POD);
}

absl::Status SetUser(const std::string& user,
                     cri::LinuxContainerSecurityContext& security) {
  if (user.empty()) {
    return absl::OkStatus();
  }
  const std::vector<std::string> parts = absl::StrSplit(user, ':');
  uint32_t uid = 0;
  uint32_t gid = 0;
  if (parts.size() == 1 && !absl::SimpleAtoi(user, &uid)) {
    security.set_run_as_username(user);
    return absl::OkStatus();
  }
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], &uid) ||
      (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &gid))) {
    return absl::InvalidArgumentError(
        absl::StrCat("read --user ", user, ": not UID, UID:GID or a name"));
  }
  security.mutable_run_as_user()->set_value(uid);
  if (parts.size() == 2) {
    security.mutable_run_as_group()->set_value(gid);
  }
  return absl::OkStatus();
}

absl::Status AddMount(const std::string& option, cri::ContainerConfig& config) {
  const std::vector<std::string> parts = absl::StrSplit(option, ':');
  const bool read_only = parts.size() == 3 && parts[2] == "ro";
  if ((parts.size() != 2 && !read_only) || parts[0].empty() ||
      parts[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("read --mount ", option, ": not HOST:CONTAINER[:ro]"));
  }
  cri::Mount& mount = *config.add_mounts();
  mount.set_host_path(parts[0]);
  mount.set_container_path(parts[1]);
  mount.set_readonly(read_only);
  return absl::OkStatus();
}

absl::Status AddEnvironment(const std::string& option,
                            cri::ContainerConfig& config) {
  const size_t sign = option.find('=');
  if (sign == std::string::npos || sign == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("read --env ", option, ": not NAME=VALUE"));
  }
  cri::KeyValue& variable = *config.add_envs();
  variable.set_key(option.substr(0, sign));
  variable.set_value(option.substr(sign + 1));
  return absl::OkStatus();
}

}  // namespace

cri::PodSandboxConfig PodConfig(const RunOptions& options,
                                const std::string& id,
                                const std::string& log_directory) {
  constexpr size_t kShort = 8;
  const std::string name =
      options.name.empty() ? "run-" + id.substr(0, kShort) : options.name;
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_uid(id);
  config.mutable_metadata()->set_namespace_("caissonctl");
  config.set_log_directory(log_directory);
  (*config.mutable_labels())[kRunLabel] = id;
  if (!options.host_network) {
    config.set_hostname(name);
  }
  cri::LinuxSandboxSecurityContext& security =
      *config.mutable_linux()->mutable_security_context();
  SetNamespaces(options, *security.mutable_namespace_options());
  security.mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  return config;
}

absl::StatusOr<cri::ContainerConfig> ContainerConfigOf(
    const RunOptions& options, const std::string& image_ref) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name("main");
  config.mutable_image()->set_image(image_ref);
  config.mutable_image()->set_user_specified_image(options.image);
  config.set_log_path("main.log");
  for (const std::string& word : options.command) {
    config.add_command(word);
  }
  for (const std::string& mount : options.mounts) {
    RETURN_IF_ERROR(AddMount(mount, config));
  }
  for (const std::string& variable : options.environment) {
    RETURN_IF_ERROR(AddEnvironment(variable, config));
  }
  cri::LinuxContainerSecurityContext& security =
      *config.mutable_linux()->mutable_security_context();
  SetNamespaces(options, *security.mutable_namespace_options());
  security.mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  for (const char* path : kMasked) {
    security.add_masked_paths(path);
  }
  for (const char* path : kReadOnly) {
    security.add_readonly_paths(path);
  }
  RETURN_IF_ERROR(SetUser(options.user, security));
  return config;
}

}  // namespace caisson::ctl
