#include "runtime/keeper/scope_holder.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/status.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

absl::Status DropEverything(pid_t keeper) {
  RETURN_IF_ERROR(kernel::LimitBoundingSet(0));
  RETURN_IF_ERROR(kernel::SetCapabilities({}));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("forbid", "new privileges");
  }
  // After the change of credentials, which takes it back.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
    return ErrnoError("set", "parent death signal");
  }
  if (getppid() != keeper) {
    return absl::AbortedError("hold scope: the keeper has gone");
  }
  return kernel::ForbidDumping();
}

[[noreturn]] void Hold(pid_t keeper) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!DropEverything(keeper).ok()) {
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
