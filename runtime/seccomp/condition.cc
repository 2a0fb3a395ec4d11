#include "runtime/seccomp/condition.h"

#include <sys/utsname.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/kernel/capability_names.h"

namespace caisson::seccomp {
namespace {

absl::StatusOr<bool> Has(const Machine& machine, absl::string_view name) {
  const std::optional<int> found =
      kernel::FindCapability(absl::StripPrefix(name, "CAP_"));
  if (!found.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("seccomp profile: unknown capability ", name));
  }
  return (machine.capabilities >> *found & 1) != 0;
}

struct Version {
  int major = 0;
  int minor = 0;
};

absl::StatusOr<Version> ParseVersion(absl::string_view text) {
  Version version;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::ByAnyChar(".-+"));
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &version.major) ||
      !absl::SimpleAtoi(parts[1], &version.minor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("seccomp profile: minKernel ", text, ": not a version"));
  }
  return version;
}

// The three kinds of condition; absent ones say nothing.
struct Verdict {
  bool some_capability = false;
  bool all_capabilities = true;
  bool has_arches = false;
  bool arch = false;
  bool has_kernel = false;
  bool kernel = false;
};

absl::StatusOr<Verdict> Judge(const json::Value& condition,
                              const Machine& machine) {
  Verdict verdict;
  ASSIGN_OR_RETURN(const auto capabilities,
                   json::GetStrings(condition, "caps"));
  for (const std::string& name : capabilities) {
    ASSIGN_OR_RETURN(const bool has, Has(machine, name));
    verdict.some_capability |= has;
    verdict.all_capabilities &= has;
  }
  ASSIGN_OR_RETURN(const auto arches, json::GetStrings(condition, "arches"));
  verdict.has_arches = !arches.empty();
  verdict.arch = std::find(arches.begin(), arches.end(),
                           std::string(machine.arch)) != arches.end();
  ASSIGN_OR_RETURN(const std::string kernel,
                   json::GetString(condition, "minKernel"));
  if (!kernel.empty()) {
    ASSIGN_OR_RETURN(const Version least, ParseVersion(kernel));
    verdict.has_kernel = true;
    verdict.kernel = machine.kernel_major > least.major ||
                     (machine.kernel_major == least.major &&
                      machine.kernel_minor >= least.minor);
  }
  return verdict;
}

}  // namespace

Machine ThisMachine(uint64_t capabilities) {
  Machine machine;
  machine.capabilities = capabilities;
#if defined(__aarch64__)
  machine.arch = "arm64";
#else
  machine.arch = "amd64";
#endif
  utsname name;
  if (uname(&name) == 0) {
    absl::StatusOr<Version> version = ParseVersion(name.release);
    if (version.ok()) {
      machine.kernel_major = version->major;
      machine.kernel_minor = version->minor;
    }
  }
  return machine;
}

absl::StatusOr<bool> Applies(const json::Value& rule, const Machine& machine) {
  if (const json::Value* includes = json::Find(rule, "includes")) {
    ASSIGN_OR_RETURN(const Verdict verdict, Judge(*includes, machine));
    if (!verdict.all_capabilities || (verdict.has_arches && !verdict.arch) ||
        (verdict.has_kernel && !verdict.kernel)) {
      return false;
    }
  }
  if (const json::Value* excludes = json::Find(rule, "excludes")) {
    ASSIGN_OR_RETURN(const Verdict verdict, Judge(*excludes, machine));
    if (verdict.some_capability || verdict.arch || verdict.kernel) {
      return false;
    }
  }
  return true;
}

}  // namespace caisson::seccomp
