#include "runtime/keeper/fault.h"

#include <csignal>
#include <ctime>
#include <utility>

namespace caisson::keeper {

Fault& Fault::Get() {
  static Fault fault;
  return fault;
}

void Fault::Set(std::string step, int error_number) {
  step_ = std::move(step);
  error_number_ = error_number;
}

void Fault::SetPause(std::string step) {
  pause_ = std::move(step);
}

void Fault::Clear() {
  step_.clear();
}

absl::Status Fault::Check(absl::string_view step) const {
  if (step_.empty() || step != step_) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(error_number_, "injected fault");
}

void Fault::Pause(absl::string_view step) const {
  if (pause_.empty() || step != pause_) {
    return;
  }
  sigset_t wanted;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  // Blocked, so that also the init of a pid namespace gets it.
  sigprocmask(SIG_BLOCK, &wanted, &before);
  // Not sigwait(3) alone: while that waits, /proc does not show the mask.
  constexpr timespec kInterval = {0, 1000000};
  while (sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 0) {
    nanosleep(&kInterval, nullptr);
  }
  int got = 0;
  sigwait(&wanted, &got);
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace caisson::keeper
