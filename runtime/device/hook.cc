#include "runtime/device/hook.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/kernel/command.h"

namespace caisson::device {
namespace {

std::string ToJson(const HookState& state) {
  json::Value value = json::Value::object();
  value["ociVersion"] = "1.2.0";
  value["id"] = state.id;
  value["status"] = state.status;
  if (state.pid != 0) {
    value["pid"] = state.pid;
  }
  value["bundle"] = state.bundle;
  value["annotations"] = state.annotations;
  return json::Dump(value);
}

}  // namespace

absl::Status RunHook(const Hook& hook, const HookState& state,
                     absl::Duration timeout) {
  kernel::Command command;
  command.program = hook.path;
  command.arguments = hook.arguments;
  command.environment = hook.environment;
  command.input = ToJson(state);
  command.timeout =
      hook.timeout_seconds == 0 ? timeout : absl::Seconds(hook.timeout_seconds);
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
