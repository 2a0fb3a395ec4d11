#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"
#include "shim/plan/container.h"

// AppArmor and SELinux.  What is asked for by name is done or refused: never
// silently left out.
namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

// Relabelled, no program of the host's could use them.
constexpr const char* kNeverRelabelled[] = {
    "/",     "/bin",   "/boot", "/dev",  "/etc",  "/home",
    "/lib",  "/lib64", "/opt",  "/proc", "/root", "/run",
    "/sbin", "/srv",   "/sys",  "/tmp",  "/usr",  "/var"};

constexpr char kDefaultProfile[] = "caisson-default";
constexpr char kField[] = "config.linux.security_context.apparmor";
constexpr char kOldField[] = "config.linux.security_context.apparmor_profile";

absl::Status Missing(const std::string& field, const std::string& value,
                     absl::string_view why) {
  return absl::FailedPreconditionError(Refuse(field, value, why).message());
}

absl::Status UseDefault(const ContainerInputs& inputs, bool asked,
                        keeper::v1::Process& process) {
  if (inputs.apparmor.profiles.contains(kDefaultProfile)) {
    process.set_apparmor_profile(kDefaultProfile);
    return absl::OkStatus();
  }
  if (!asked) {
    return absl::OkStatus();
  }
  return Missing(kField, "RuntimeDefault",
                 inputs.apparmor.enabled
                     ? "needs the profile caisson-default, which is not loaded"
                     : "is asked for, and AppArmor is not enabled");
}

absl::Status UseLoaded(const ContainerInputs& inputs, const std::string& field,
                       const std::string& name, keeper::v1::Process& process) {
  RETURN_IF_ERROR(CheckText(field, name, 255, false));
  if (!inputs.apparmor.enabled) {
    return Missing(field, name, "is asked for, and AppArmor is not enabled");
  }
  if (!inputs.apparmor.profiles.contains(name)) {
    return Missing(field, name, "is not loaded");
  }
  process.set_apparmor_profile(name);
  return absl::OkStatus();
}

// The form of before Kubernetes 1.30: one string, deprecated and still sent.
absl::Status ReadOldForm(const ContainerInputs& inputs,
                         keeper::v1::Process& process) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  absl::string_view profile =
      inputs.config.linux().security_context().apparmor_profile();
#pragma GCC diagnostic pop
  if (profile == "unconfined") {
    return absl::OkStatus();
  }
  if (profile.empty() || profile == "runtime/default") {
    return UseDefault(inputs, !profile.empty(), process);
  }
  if (!absl::ConsumePrefix(&profile, "localhost/")) {
    return Refuse(kOldField, profile, "is not a kind of profile");
  }
  return UseLoaded(inputs, kOldField, std::string(profile), process);
}

// Files of the pod alone, and what the kubelet says is the pod's.
absl::Status RelabelVolumes(const ContainerInputs& inputs,
                            const std::string& context,
                            keeper::v1::ContainerPlan& plan) {
  std::set<std::string> targets;
  for (const cri::Mount& mount : inputs.config.mounts()) {
    if (!mount.selinux_relabel() || mount.host_path().empty()) {
      continue;
    }
    const std::string source = CleanPath(mount.host_path());
    for (const char* shared : kNeverRelabelled) {
      if (source == shared) {
        return Refuse("config.mounts.selinux_relabel", source,
                      "is a directory of the host's own");
      }
    }
    targets.insert(CleanPath(mount.container_path()));
  }
  for (keeper::v1::Mount& mount : *plan.mutable_mounts()) {
    const bool own = mount.kind() == keeper::v1::Mount::BIND &&
                     absl::StartsWith(mount.source(), inputs.pod_directory);
    if (own || mount.kind() == keeper::v1::Mount::TMPFS ||
        targets.contains(mount.target())) {
      mount.set_file_context(context);
    }
  }
  return absl::OkStatus();
}

absl::Status SetContexts(const ContainerInputs& inputs,
                         keeper::v1::ContainerPlan& plan) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  // A container that says nothing has the pod's.
  const bool own = security.selinux_options().ByteSizeLong() > 0;
  ASSIGN_OR_RETURN(
      const SelinuxContexts contexts,
      ChooseContexts(
          inputs.selinux,
          own ? security.selinux_options()
              : inputs.pod_config.linux().security_context().selinux_options(),
          inputs.selinux_level, security.privileged(),
          "config.linux.security_context.selinux_options"));
  plan.mutable_process()->set_selinux_context(contexts.process);
  plan.set_file_context(contexts.file);
  return contexts.file.empty() ? absl::OkStatus()
                               : RelabelVolumes(inputs, contexts.file, plan);
}

}  // namespace

absl::Status ChooseLabels(const ContainerInputs& inputs,
                          ContainerDecision& decision) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  RETURN_IF_ERROR(SetContexts(inputs, decision.plan));
  if (security.privileged()) {
    return absl::OkStatus();
  }
  keeper::v1::Process& process = *decision.plan.mutable_process();
  if (!security.has_apparmor()) {
    return ReadOldForm(inputs, process);
  }
  const cri::SecurityProfile& profile = security.apparmor();
  switch (profile.profile_type()) {
    case cri::SecurityProfile::RuntimeDefault:
      return UseDefault(inputs, true, process);
    case cri::SecurityProfile::Unconfined:
      return absl::OkStatus();
    case cri::SecurityProfile::Localhost: {
      // Older kubelets leave their own prefix.
      absl::string_view name = profile.localhost_ref();
      absl::ConsumePrefix(&name, "localhost/");
      return UseLoaded(inputs, absl::StrCat(kField, ".localhost_ref"),
                       std::string(name), process);
    }
    default:
      return Refuse(absl::StrCat(kField, ".profile_type"),
                    absl::StrCat(profile.profile_type()), "is unknown");
  }
}

}  // namespace caisson::plan
