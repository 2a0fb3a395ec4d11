#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/kernel/apparmor.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/selinux.h"

namespace caisson::keeper::steps {
namespace {

// The channel's number from close-other-files on.
constexpr int kChannel = 3;
constexpr unsigned kFirstUnwanted = 4;
constexpr char kNull[] = "/dev/null";

absl::StatusOr<UniqueFd> OpenMultiplexer(int root) {
  // Non-blocking: the keeper reads from it all that is there.
  ASSIGN_OR_RETURN(UniqueFd ptmx,
                   kernel::OpenInRoot(root, "/dev/pts/ptmx",
                                      O_RDWR | O_NOCTTY | O_NONBLOCK));
  struct statfs filesystem = {};
  struct stat facts = {};
  if (fstatfs(ptmx.get(), &filesystem) != 0 || fstat(ptmx.get(), &facts) != 0) {
    return ErrnoError("stat", "/dev/pts/ptmx");
  }
  // A volume over /dev may hold anything of that name (CVE-2025-52565).
  if (filesystem.f_type != DEVPTS_SUPER_MAGIC ||
      facts.st_rdev != makedev(5, 2)) {
    return absl::FailedPreconditionError(
        "check /dev/pts/ptmx: not a pseudo-terminal multiplexer");
  }
  return ptmx;
}

absl::StatusOr<UniqueFd> OpenTerminal(ChildContext& context) {
  ASSIGN_OR_RETURN(context.terminal, OpenMultiplexer(context.root.get()));
  int unlock = 0;
  if (ioctl(context.terminal.get(), TIOCSPTLCK, &unlock) != 0) {
    return ErrnoError("unlock", "pseudo-terminal");
  }
  // The other side by fd, never by its name in /dev/pts.
  UniqueFd slave(ioctl(context.terminal.get(), TIOCGPTPEER,
                       O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave.ok()) {
    return ErrnoError("open", "pseudo-terminal");
  }
  if (ioctl(slave.get(), TIOCSCTTY, 0) != 0) {
    return ErrnoError("take", "controlling terminal");
  }
  return slave;
}

absl::Status Duplicate(int from, int to) {
  if (dup2(from, to) != to) {
    return ErrnoError("duplicate", absl::StrCat("onto fd ", to));
  }
  return absl::OkStatus();
}

absl::Status AttachTerminal(ChildContext& context) {
  ASSIGN_OR_RETURN(UniqueFd slave, OpenTerminal(context));
  if (fchown(slave.get(), context.process.uid(), static_cast<gid_t>(-1)) != 0) {
    return ErrnoError("change owner of", "pseudo-terminal");
  }
  for (const int fd : {0, 1, 2}) {
    RETURN_IF_ERROR(Duplicate(slave.get(), fd));
  }
  return absl::OkStatus();
}

absl::Status CheckNull(int fd) {
  struct stat facts = {};
  if (fstat(fd, &facts) != 0) {
    return ErrnoError("stat", kNull);
  }
  return S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(1, 3)
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   absl::StrCat("check ", kNull, ": not the null device"));
}

// The container's own, never the host's: who owns that node there could change
// owner and mode of it for all of the machine.  What stands at its name may be
// anything (CVE-2025-31133, CVE-2025-52881): it is looked at before it is
// opened, and opened without waiting, for it may be exchanged meanwhile.
absl::StatusOr<UniqueFd> OpenNull(int root) {
  ASSIGN_OR_RETURN(const UniqueFd found,
                   kernel::OpenInRoot(root, kNull, O_PATH));
  RETURN_IF_ERROR(CheckNull(found.get()));
  ASSIGN_OR_RETURN(
      UniqueFd null,
      kernel::OpenInRoot(root, kNull, O_RDWR | O_NOCTTY | O_NONBLOCK));
  RETURN_IF_ERROR(CheckNull(null.get()));
  if (fcntl(null.get(), F_SETFL, O_RDWR) != 0) {
    return ErrnoError("set", "/dev/null to wait");
  }
  return null;
}

// The reading end of a pipe that nobody can write to: as empty as the null
// device.  Its owner may open it again as /dev/stdin.
absl::StatusOr<UniqueFd> OpenNothing(const v1::Process& process) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  UniqueFd nothing(ends[0]);
  const UniqueFd writer(ends[1]);
  if (fchown(nothing.get(), process.uid(), process.gid()) != 0) {
    return ErrnoError("change owner of", "pipe");
  }
  return nothing;
}

// A container without a null device, as with a volume over /dev or on a mount
// whose devices can't be used, is not refused for its input: nothing is read
// from a pipe as well.  What is to be discarded has no other place.
absl::Status AttachNull(ChildContext& context) {
  absl::StatusOr<UniqueFd> null = OpenNull(context.root.get());
  for (const auto& [number, given] :
       {std::pair(1, context.stdout_fd), std::pair(2, context.stderr_fd)}) {
    if (given < 0) {
      RETURN_IF_ERROR(null.status());
      RETURN_IF_ERROR(Duplicate(null->get(), number));
    }
  }
  if (context.stdin_fd >= 0) {
    return absl::OkStatus();
  }
  if (!null.ok()) {
    null = OpenNothing(context.process);
  }
  RETURN_IF_ERROR(null.status());
  return Duplicate(null->get(), 0);
}

}  // namespace

absl::Status AttachStdio(ChildContext& context) {
  if (context.process.tty()) {
    return AttachTerminal(context);
  }
  // The keeper's fds are above 2: its own three are always open.
  const int given[] = {context.stdin_fd, context.stdout_fd, context.stderr_fd};
  bool complete = true;
  for (int number = 0; number < 3; ++number) {
    complete = complete && given[number] >= 0;
    if (given[number] >= 0) {
      RETURN_IF_ERROR(Duplicate(given[number], number));
    }
  }
  return complete ? absl::OkStatus() : AttachNull(context);
}

absl::Status EnterWorkingDirectory(ChildContext& context) {
  const std::string& path = context.process.working_directory();
  absl::StatusOr<UniqueFd> directory =
      context.join == nullptr
          ? kernel::MakeDirectoryInRoot(context.root.get(), path, {})
          : kernel::OpenInRoot(context.root.get(), path, O_PATH | O_DIRECTORY);
  RETURN_IF_ERROR(directory.status());
  if (fchdir(directory->get()) != 0) {
    return ErrnoError("enter", path);
  }
  // The kernel prefixes "(unreachable)" outside of the root (CVE-2024-21626).
  char text[PATH_MAX];
  if (syscall(SYS_getcwd, text, sizeof(text)) < 0) {
    return ErrnoError("check working directory", path);
  }
  if (text[0] != '/') {
    return absl::FailedPreconditionError(
        absl::StrCat("check working directory ", path, ": outside the root"));
  }
  return absl::OkStatus();
}

absl::Status SetSecurityLabels(ChildContext& context) {
  const std::string& profile = context.process.apparmor_profile();
  if (!profile.empty()) {
    RETURN_IF_ERROR(kernel::ConfineOnExec(context.root.get(), profile));
  }
  const std::string& label = context.process.selinux_context();
  return label.empty() ? absl::OkStatus()
                       : kernel::LabelOnExec(context.root.get(), label);
}

absl::Status CloseKeeperFiles(ChildContext& context) {
  // Its standard error is the daemon's log; the other two are null.
  RETURN_IF_ERROR(Duplicate(STDIN_FILENO, STDERR_FILENO));
  return kernel::CloseAllBut({context.channel, context.stdin_fd,
                              context.stdout_fd, context.stderr_fd,
                              context.root.get()});
}

absl::Status CloseOtherFiles(ChildContext& context) {
  // The pseudo-terminal stays until it is handed to the keeper.
  if (context.terminal.ok() && context.terminal.get() == kChannel) {
    context.terminal.reset(fcntl(kChannel, F_DUPFD_CLOEXEC, kFirstUnwanted));
  }
  if (context.channel != kChannel &&
      dup3(context.channel, kChannel, O_CLOEXEC) != kChannel) {
    return ErrnoError("duplicate", "channel");
  }
  context.channel = kChannel;
  unsigned first = kFirstUnwanted;
  if (context.terminal.ok()) {
    if (dup3(context.terminal.get(), static_cast<int>(kFirstUnwanted),
             O_CLOEXEC) >= 0) {
      [[maybe_unused]] const int old = context.terminal.release();
      context.terminal.reset(static_cast<int>(kFirstUnwanted));
    }
    first = kFirstUnwanted + 1;
  }
  // The owners of these numbers are never destroyed: execve or _exit follow.
  [[maybe_unused]] const int root = context.root.release();
  if (close_range(first, ~0U, 0) != 0) {
    return ErrnoError("close", "other files");
  }
  return absl::OkStatus();
}

absl::Status PrepareProgram(ChildContext& context) {
  ASSIGN_OR_RETURN(context.program, Program::Prepare(context.process));
  return absl::OkStatus();
}

}  // namespace caisson::keeper::steps
