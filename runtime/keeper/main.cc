// caisson-keeper: the fork server of a daemon's keepers.  Started by caissond
// from a sealed memfd, with its socket as fd 3.

#include <sys/prctl.h>

#include <csignal>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/base/log.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/container.h"
#include "runtime/keeper/exec.h"
#include "runtime/keeper/fork_server.h"
#include "runtime/keeper/pod.h"
#include "runtime/kernel/credentials.h"

namespace {

constexpr int kSocket = 3;

void ListSteps(const char* table, const caisson::keeper::StepNames& names) {
  for (const std::string& name : names) {
    printf("%s %s\n", table, name.c_str());
  }
}

int ListAllSteps() {
  ListSteps("pod", caisson::keeper::PodStepNames());
  ListSteps("container", caisson::keeper::CreateStepNames());
  ListSteps("init", caisson::keeper::InitStepNames());
  ListSteps("exec", caisson::keeper::ExecStepNames());
  ListSteps("exec-child", caisson::keeper::ExecChildStepNames());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool fork_server = false;
  bool allow_faults = false;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    fork_server = fork_server || argument == "--fork-server";
    if (argument == "--list-steps") {
      return ListAllSteps();
    }
    allow_faults = allow_faults || argument == "--allow-faults";
  }
  if (!fork_server) {
    fprintf(stderr, "caisson-keeper is started by caissond and not by hand\n");
    return 2;
  }
  caisson::SetUpLog("caisson-keeper", caisson::LogLevel::kInfo);
  prctl(PR_SET_NAME, "caisson-keeper", 0, 0, 0);
  // A daemon or a reader of a pipe that went away is told by errno.
  signal(SIGPIPE, SIG_IGN);
  absl::Status status = caisson::kernel::ForbidDumping();
  if (status.ok()) {
    status = caisson::keeper::ServeForks(kSocket, allow_faults);
  }
  if (!status.ok()) {
    caisson::LogError(absl::StrCat("serve forks: ", status.message()));
    return 1;
  }
  return 0;
}
