#include "shim/plan/selinux.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "shim/plan/check.h"

namespace caisson::plan {
namespace {

namespace cri = ::runtime::v1;

constexpr size_t kMaxField = 255;
constexpr char kUnconfinedType[] = "spc_t";

enum Field { kUser, kRole, kType, kLevel, kFields };

using Context = std::vector<std::string>;

Context Split(const std::string& text) {
  Context fields = absl::StrSplit(text, absl::MaxSplits(':', kFields - 1));
  fields.resize(kFields);
  return fields;
}

// The sensitivity: what a level has before its categories.
std::string Sensitivity(const std::string& level) {
  return level.substr(0, level.find(':'));
}

absl::Status CheckOptions(const cri::SELinuxOption& options,
                          const std::string& field) {
  const std::pair<const char*, const std::string&> all[] = {
      {".user", options.user()},
      {".role", options.role()},
      {".type", options.type()},
      {".level", options.level()}};
  for (const auto& [name, value] : all) {
    RETURN_IF_ERROR(CheckText(field + name, value, kMaxField, true));
    if (&value != &options.level() && absl::StrContains(value, ':')) {
      return Refuse(field + name, value, "has a colon");
    }
  }
  return absl::OkStatus();
}

void Override(const std::string& wanted, std::string& field) {
  if (!wanted.empty()) {
    field = wanted;
  }
}

}  // namespace

std::string PodLevel(const Selinux& policy, const cri::SELinuxOption& options,
                     int first, int second) {
  if (!options.level().empty()) {
    return options.level();
  }
  return absl::StrCat(Sensitivity(Split(policy.process)[kLevel]), ":c", first,
                      ",c", second);
}

absl::StatusOr<SelinuxContexts> ChooseContexts(
    const Selinux& policy, const cri::SELinuxOption& options,
    const std::string& pod_level, bool privileged, const std::string& field) {
  SelinuxContexts contexts;
  if (!policy.enabled) {
    if (options.ByteSizeLong() == 0) {
      return contexts;
    }
    return absl::FailedPreconditionError(
        Refuse(field,
               absl::StrCat(options.user(), ":", options.role(), ":",
                            options.type(), ":", options.level()),
               "is asked for, and SELinux is not enabled")
            .message());
  }
  RETURN_IF_ERROR(CheckOptions(options, field));
  Context process = Split(policy.process);
  Context file = Split(policy.file);
  file[kLevel] = pod_level;
  if (privileged) {
    process[kType] = kUnconfinedType;
  } else {
    process[kLevel] = pod_level;
  }
  for (Context* context : {&process, &file}) {
    Override(options.user(), (*context)[kUser]);
    Override(options.level(), (*context)[kLevel]);
  }
  Override(options.role(), process[kRole]);
  Override(options.type(), process[kType]);
  contexts.process = absl::StrJoin(process, ":");
  contexts.file = absl::StrJoin(file, ":");
  return contexts;
}

}  // namespace caisson::plan
