#include "runtime/network/plugin.h"

#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace caisson::network {
namespace {

constexpr size_t kShown = 4096;

// What a failed plugin says: its error object, else its standard error.
std::string Complaint(const kernel::CommandResult& result) {
  absl::StatusOr<json::Value> answer =
      json::Parse(result.output, "error of the plugin");
  if (answer.ok()) {
    const std::string message =
        json::GetString(*answer, "msg").value_or(std::string());
    const std::string details =
        json::GetString(*answer, "details").value_or(std::string());
    if (!message.empty()) {
      return kernel::OneLine(
          details.empty() ? message : absl::StrCat(message, "; ", details));
    }
  }
  return absl::StrCat("exit status ", result.status, ": ",
                      kernel::OneLine(result.error_tail.empty()
                                          ? result.output.substr(0, kShown)
                                          : result.error_tail));
}

}  // namespace

absl::StatusOr<std::string> RunPlugin(const kernel::Command& run) {
  ASSIGN_OR_RETURN(kernel::CommandResult result, kernel::RunCommand(run));
  if (result.status != 0) {
    return absl::InternalError(Complaint(result));
  }
  return std::move(result.output);
}

}  // namespace caisson::network
