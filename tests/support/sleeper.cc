#include "tests/support/sleeper.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "runtime/base/status.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace caisson::testing {
namespace {

// In the child of a process with threads: nothing but system calls.
[[noreturn]] void Become(char* const* argv, int out, int err) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(out >= 0 ? out : null, 1);
  dup2(err >= 0 ? err : null, 2);
  close_range(3, ~0U, 0);
  char* const environment[] = {const_cast<char*>("PATH=/usr/bin:/bin"),
                               nullptr};
  execve(argv[0], argv, environment);
  _exit(127);
}

}  // namespace

absl::StatusOr<Process> RunIn(int cgroup, const std::vector<std::string>& argv,
                              int out, int err) {
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  int pidfd = -1;
  clone_args args = {};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  const long pid = syscall(SYS_clone3, &args, sizeof(args));
  if (pid == 0) {
    Become(words.data(), out, err);
  }
  if (pid < 0) {
    return ErrnoError("clone", argv[0]);
  }
  return Process{static_cast<int>(pid), UniqueFd(pidfd)};
}

absl::StatusOr<Process> SleepIn(int cgroup) {
  return RunIn(cgroup, {"/bin/sleep", "infinity"});
}

bool HasEnded(int pidfd, int* code) {
  pollfd event = {pidfd, POLLIN, 0};
  if (poll(&event, 1, 0) != 1) {
    return false;
  }
  siginfo_t info = {};
  *code = 137;
  if (waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info,
             WEXITED | WNOHANG) == 0 &&
      info.si_pid != 0) {
    *code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }
  return true;
}

}  // namespace caisson::testing
