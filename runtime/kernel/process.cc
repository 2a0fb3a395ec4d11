#include "runtime/kernel/process.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "runtime/base/status.h"

// linux/pidfd.h since Linux 6.11; not in Debian 12's headers.
#define CAISSON_PIDFD_IO(number) _IO(0xFF, number)

namespace caisson::kernel {
namespace {

struct NamespaceFacts {
  const char* name;
  int clone_flag;
  unsigned long get_request;
};

const NamespaceFacts& Facts(Namespace kind) {
  static constexpr NamespaceFacts kUserFacts = {"user", CLONE_NEWUSER,
                                                CAISSON_PIDFD_IO(9)};
  static constexpr NamespaceFacts kNetworkFacts = {"net", CLONE_NEWNET,
                                                   CAISSON_PIDFD_IO(4)};
  static constexpr NamespaceFacts kIpcFacts = {"ipc", CLONE_NEWIPC,
                                               CAISSON_PIDFD_IO(2)};
  static constexpr NamespaceFacts kUtsFacts = {"uts", CLONE_NEWUTS,
                                               CAISSON_PIDFD_IO(10)};
  static constexpr NamespaceFacts kMountFacts = {"mnt", CLONE_NEWNS,
                                                 CAISSON_PIDFD_IO(3)};
  static constexpr NamespaceFacts kPidFacts = {"pid", CLONE_NEWPID,
                                               CAISSON_PIDFD_IO(5)};
  static constexpr NamespaceFacts kCgroupFacts = {"cgroup", CLONE_NEWCGROUP,
                                                  CAISSON_PIDFD_IO(1)};
  switch (kind) {
    case Namespace::kUser:
      return kUserFacts;
    case Namespace::kNetwork:
      return kNetworkFacts;
    case Namespace::kIpc:
      return kIpcFacts;
    case Namespace::kUts:
      return kUtsFacts;
    case Namespace::kMount:
      return kMountFacts;
    case Namespace::kPid:
      return kPidFacts;
    case Namespace::kCgroup:
      return kCgroupFacts;
  }
  return kUserFacts;
}

}  // namespace

absl::StatusOr<Forked> Fork(const ForkOptions& options) {
  int pidfd = -1;
  clone_args args = {};
  args.flags = options.flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = static_cast<uint64_t>(options.exit_signal);
  if (options.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(options.cgroup);
  }
  const long pid = syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) {
    return ErrnoError("fork", "process");
  }
  Forked forked;
  forked.pid = static_cast<pid_t>(pid);
  if (pid > 0) {
    forked.pidfd.reset(pidfd);
  }
  return forked;
}

absl::StatusOr<int> Reap(int pidfd, bool block) {
  siginfo_t info = {};
  const int options = WEXITED | __WALL | (block ? 0 : WNOHANG);
  int result = 0;
  do {
    result = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd),
                    &info, options);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    return ErrnoError("wait for", "process");
  }
  if (info.si_pid == 0) {
    return absl::UnavailableError("wait for process: still running");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

absl::Status SignalProcess(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) {
    return ErrnoError("signal", "process");
  }
  return absl::OkStatus();
}

absl::Status CloseAllBut(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  int first = STDERR_FILENO + 1;
  for (const int fd : keep) {
    if (fd > first && close_range(static_cast<unsigned>(first),
                                  static_cast<unsigned>(fd) - 1, 0) != 0) {
      return ErrnoError("close", "files");
    }
    first = std::max(first, fd + 1);
  }
  if (close_range(static_cast<unsigned>(first), ~0U, 0) != 0) {
    return ErrnoError("close", "files");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenNamespace(int pidfd, Namespace kind) {
  const NamespaceFacts& facts = Facts(kind);
  UniqueFd fd(ioctl(pidfd, facts.get_request, 0));
  if (!fd.ok()) {
    return ErrnoError("open namespace", facts.name);
  }
  return fd;
}

absl::Status EnterNamespace(int fd, Namespace kind) {
  const NamespaceFacts& facts = Facts(kind);
  if (setns(fd, facts.clone_flag) != 0) {
    return ErrnoError("enter namespace", facts.name);
  }
  return absl::OkStatus();
}

const char* NamespaceName(Namespace kind) {
  return Facts(kind).name;
}

}  // namespace caisson::kernel
