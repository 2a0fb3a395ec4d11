#include "runtime/device/hook.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/command.h"

namespace caisson::device {
namespace {

constexpr std::pair<absl::string_view, Moment> kMoments[] = {
    {"prestart", Moment::kPrestart},
    {"createRuntime", Moment::kCreateRuntime},
    {"createContainer", Moment::kCreateContainer},
    {"startContainer", Moment::kStartContainer},
    {"poststart", Moment::kPoststart},
    {"poststop", Moment::kPoststop},
};

}  // namespace

absl::string_view MomentName(Moment moment) {
  for (const auto& [text, one] : kMoments) {
    if (one == moment) {
      return text;
    }
  }
  return "";
}

std::optional<Moment> FindMoment(absl::string_view name) {
  for (const auto& [text, moment] : kMoments) {
    if (name == text) {
      return moment;
    }
  }
  return std::nullopt;
}

absl::Status RunHook(const Hook& hook, const std::string& state,
                     absl::Duration timeout, Deadline deadline,
                     std::function<absl::Status()> confine) {
  kernel::Command command;
  command.program = hook.path;
  command.arguments = hook.arguments;
  command.environment = hook.environment;
  command.input = state;
  command.confine = std::move(confine);
  const absl::Duration own =
      hook.timeout_seconds == 0 ? timeout : absl::Seconds(hook.timeout_seconds);
  command.deadline = Deadline::Earlier(Deadline::After(own), deadline);
  const std::string what =
      absl::StrCat("run hook ", MomentName(hook.moment), " ", hook.path);
  const absl::StatusOr<kernel::CommandResult> result =
      kernel::RunCommand(command);
  RETURN_IF_ERROR(Annotate(result.status(), what));
  if (result->status != 0) {
    return absl::InternalError(
        absl::StrCat(what, ": exit status ", result->status, ": ",
                     kernel::OneLine(result->error_tail)));
  }
  return absl::OkStatus();
}

}  // namespace caisson::device
