#include <csignal>
#include <cstdio>
#include <string>

#include "runtime/base/log.h"
#include "shim/ctl/arguments.h"
#include "shim/ctl/commands.h"

namespace caisson::ctl {
namespace {

absl::StatusOr<int> Dispatch(const Arguments& arguments) {
  switch (arguments.command) {
    case Command::kRun:
      return Run(arguments.endpoint, arguments.run);
    case Command::kPs:
      return Ps(arguments.endpoint);
    case Command::kRemoveAll:
      return RemoveAll(arguments.endpoint);
    case Command::kCheck:
      return Check();
    case Command::kConfigDefault:
      return ConfigDefault();
    case Command::kVersion:
      return Version(arguments.endpoint);
    case Command::kNone:
      break;
  }
  return absl::InternalError("dispatch: no command");
}

}  // namespace
}  // namespace caisson::ctl

int main(int argc, char** argv) {
  caisson::SetUpLog("caissonctl", caisson::LogLevel::kWarning);
  // A reader that went away is an error of write(2), so that we clean up.
  std::signal(SIGPIPE, SIG_IGN);
  int exit_code = 0;
  const caisson::ctl::Arguments arguments =
      caisson::ctl::ParseArguments(argc, argv, exit_code);
  if (arguments.command == caisson::ctl::Command::kNone) {
    return exit_code;
  }
  const absl::StatusOr<int> result = caisson::ctl::Dispatch(arguments);
  if (!result.ok()) {
    std::fprintf(stderr, "caissonctl: %s\n",
                 std::string(result.status().message()).c_str());
    // What a container's own exit codes leave free by custom.
    constexpr int kOwnFailure = 125;
    constexpr int kInterrupted = 130;
    return absl::IsCancelled(result.status()) ? kInterrupted : kOwnFailure;
  }
  return *result;
}
