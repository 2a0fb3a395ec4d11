#include "runtime/keeper/scope_holder.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/status.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

[[noreturn]] void Hold(pid_t keeper) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The keeper may have gone before its end would be heard of.
  if (!kernel::DropEverything().ok() || getppid() != keeper) {
    _exit(1);
  }
  prctl(PR_SET_NAME, "caisson-scope", 0, 0, 0);
  close_range(0, ~0U, 0);
  for (;;) {
    pause();
  }
}

}  // namespace

absl::StatusOr<ScopeHolder> StartScopeHolder() {
  const pid_t keeper = getpid();
  absl::StatusOr<kernel::Forked> forked = kernel::Fork({});
  RETURN_IF_ERROR(Annotate(forked.status(), "start scope holder"));
  if (forked->pid == 0) {
    Hold(keeper);
  }
  return ScopeHolder{forked->pid, std::move(forked->pidfd)};
}

}  // namespace caisson::keeper
