#include "shim/ctl/interrupt.h"

#include <signal.h>
#include <string.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace caisson::ctl {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Interrupt::~Interrupt() {
  end_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Interrupt::Watch(std::function<void()> action) {
  thread_ = std::thread([this, action = std::move(action)] { Wait(action); });
}

void Interrupt::Wait(const std::function<void()>& action) {
  const sigset_t set = Signals();
  // Short, so that the destructor needn't wake it.
  constexpr timespec kPause = {0, 50'000'000};
  while (!end_) {
    const int signal = sigtimedwait(&set, nullptr, &kPause);
    if (signal > 0) {
      signal_ = signal;
      action();
    }
  }
}

absl::Status Interrupt::Check() const {
  const int signal = signal_;
  return signal == 0 ? absl::OkStatus()
                     : absl::CancelledError(
                           absl::StrCat("interrupted: ", strsignal(signal)));
}

}  // namespace caisson::ctl
