#include "runtime/kernel/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/process.h"

namespace caisson::kernel {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kErrorTail = 4096;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  // Only our end: programs expect theirs to block.
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

// A file, not a pipe: nobody has to write while the program doesn't read.
absl::StatusOr<UniqueFd> MakeInput(const std::string& text) {
  UniqueFd fd(memfd_create("input", MFD_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("create", "memfd");
  }
  const ssize_t n = pwrite(fd.get(), text.data(), text.size(), 0);
  if (n < 0 || static_cast<size_t>(n) != text.size()) {
    return ErrnoError("write", "memfd");
  }
  return fd;
}

// argv and environ as execve(2) takes them; borrow from the command.
struct Vectors {
  explicit Vectors(const Command& run) {
    for (const std::string& argument : run.arguments) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    if (arguments.empty()) {
      arguments.push_back(const_cast<char*>(run.program.c_str()));
    }
    arguments.push_back(nullptr);
    for (const std::string& entry : run.environment) {
      environment.push_back(const_cast<char*>(entry.c_str()));
    }
    environment.push_back(nullptr);
  }

  std::vector<char*> arguments;
  std::vector<char*> environment;
};

// posix_spawn and not fork: the daemon is large and has threads.
class Spawner {
 public:
  Spawner() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }

  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  ~Spawner() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  absl::StatusOr<pid_t> Spawn(const Command& run, int input, int output,
                              int error) {
    posix_spawn_file_actions_adddup2(&actions_, input, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, 1);
    posix_spawn_file_actions_adddup2(&actions_, error, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    posix_spawn_file_actions_addchdir_np(&actions_, "/");
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP |
                                               POSIX_SPAWN_SETSIGMASK |
                                               POSIX_SPAWN_SETSIGDEF);
    const Vectors vectors(run);
    pid_t pid = -1;
    errno = posix_spawn(&pid, run.program.c_str(), &actions_, &attributes_,
                        vectors.arguments.data(), vectors.environment.data());
    if (errno != 0) {
      return ErrnoError("execute", run.program);
    }
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// The same in a child of fork(2), up to the program or its end.
[[noreturn]] void BecomeProgram(const Command& run, int input, int output,
                                int error) {
  const Vectors vectors(run);
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; ++number) {
    // SIGKILL, SIGSTOP and libc's own refuse: they are as they should be.
    signal(number, SIG_DFL);
  }
  absl::Status status;
  if (setpgid(0, 0) != 0 || dup2(input, 0) != 0 || dup2(output, 1) != 1 ||
      dup2(error, 2) != 2 || close_range(3, ~0U, 0) != 0 || chdir("/") != 0 ||
      sigprocmask(SIG_SETMASK, &none, nullptr) != 0) {
    status = ErrnoError("prepare", run.program);
  } else {
    status = run.confine();
  }
  if (status.ok()) {
    execve(run.program.c_str(), vectors.arguments.data(),
           vectors.environment.data());
    status = ErrnoError("execute", run.program);
  }
  dprintf(2, "%s\n", std::string(status.message()).c_str());
  _exit(127);
}

absl::StatusOr<pid_t> ForkConfined(const Command& run, int input, int output,
                                   int error) {
  ForkOptions options;
  options.exit_signal = SIGCHLD;
  ASSIGN_OR_RETURN(const Forked forked, Fork(options));
  if (forked.pid == 0) {
    BecomeProgram(run, input, output, error);
  }
  return forked.pid;
}

absl::StatusOr<pid_t> StartProgram(const Command& run, int input, int output,
                                   int error) {
  return run.confine == nullptr ? Spawner().Spawn(run, input, output, error)
                                : ForkConfined(run, input, output, error);
}

// What a program wrote, as far as it is kept.
struct Output {
  std::string text;
  bool open = true;
};

// Reads what is there; keeps the last `keep` bytes.
void Drain(int fd, size_t keep, Output& output) {
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) {
      output.open = n < 0 && (errno == EAGAIN || errno == EINTR);
      return;
    }
    output.text.append(buffer, static_cast<size_t>(n));
    if (output.text.size() > keep) {
      output.text.erase(0, output.text.size() - keep);
    }
  }
}

class Child {
 public:
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Nothing of a program outlives its run by our fault.
  ~Child() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);
      (void)Reap();
    }
  }

  // The exit status as shells tell it.
  int Reap() {
    siginfo_t info = {};
    while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 &&
           errno == EINTR) {
    }
    pid_ = -1;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }

  int pidfd() const { return pidfd_.get(); }

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

// Reads both pipes until the process has ended.  A grandchild that holds them
// open is no reason to wait.
absl::Status Follow(const Child& child, int output_fd, int error_fd,
                    absl::Duration timeout, Output& output, Output& error) {
  const absl::Time deadline = absl::Now() + timeout;
  for (bool ended = false; !ended;) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(
          "no answer within ", absl::FormatDuration(timeout), ", killed"));
    }
    const int64_t wait =
        std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 3600000);
    pollfd fds[] = {{child.pidfd(), POLLIN, 0},
                    {output.open ? output_fd : -1, POLLIN, 0},
                    {error.open ? error_fd : -1, POLLIN, 0}};
    if (poll(fds, 3, static_cast<int>(wait)) < 0 && errno != EINTR) {
      return ErrnoError("poll", "program");
    }
    ended = fds[0].revents != 0;
    Drain(output_fd, kMaxOutput + 1, output);
    Drain(error_fd, kErrorTail, error);
    if (output.text.size() > kMaxOutput) {
      return absl::ResourceExhaustedError("answer is larger than 1 MiB");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandResult> RunCommand(const Command& run) {
  ASSIGN_OR_RETURN(UniqueFd input, MakeInput(run.input));
  ASSIGN_OR_RETURN(Pipe output_pipe, MakePipe());
  ASSIGN_OR_RETURN(Pipe error_pipe, MakePipe());
  ASSIGN_OR_RETURN(const pid_t pid,
                   StartProgram(run, input.get(), output_pipe.write_end.get(),
                                error_pipe.write_end.get()));
  // Not reaped yet, so the number is still its own.
  Child child(pid, UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))));
  if (child.pidfd() < 0) {
    return ErrnoError("open", "pidfd of the program");
  }
  output_pipe.write_end.reset();
  error_pipe.write_end.reset();
  Output output;
  Output error;
  RETURN_IF_ERROR(Follow(child, output_pipe.read_end.get(),
                         error_pipe.read_end.get(), run.timeout, output,
                         error));
  CommandResult result;
  result.status = child.Reap();
  result.output = std::move(output.text);
  result.error_tail = std::move(error.text);
  return result;
}

std::string OneLine(absl::string_view text) {
  std::string line(absl::StripAsciiWhitespace(text));
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      c = ' ';
    }
  }
  return line;
}

}  // namespace caisson::kernel
