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

}  // namespace

absl::Status ChooseLabels(const ContainerInputs& inputs,
                          ContainerDecision& decision) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  const cri::SELinuxOption& selinux = security.selinux_options();
  if (!absl::StrCat(selinux.user(), selinux.role(), selinux.type(),
                    selinux.level())
           .empty()) {
    return Missing("config.linux.security_context.selinux_options",
                   absl::StrCat(selinux.user(), ":", selinux.role(), ":",
                                selinux.type(), ":", selinux.level()),
                   "is asked for, and SELinux is not supported");
  }
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
