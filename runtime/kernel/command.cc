#include "runtime/kernel/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/process.h"

namespace caisson::kernel {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kErrorTail = 4096;
// As shells tell that a program couldn't be run.
constexpr int kNotRun = 127;
// How long a killed program may take to go.
constexpr absl::Duration kReapLimit = absl::Milliseconds(100);

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

// posix_spawn where it will do: the daemon is large and has threads.
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

void Say(absl::string_view text) {
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, text.data(), text.size());
}

// The same in a child of fork(2), up to the program or its end.  Up to
// `confine` nothing may allocate: other threads may have held the locks.
[[noreturn]] void BecomeProgram(const Command& run, const Vectors& vectors,
                                int input, int output, int error) {
  for (int number = 1; number < NSIG; ++number) {
    // SIGKILL, SIGSTOP and libc's own refuse: they are as they should be.
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  const char* failed = nullptr;
  if (setpgid(0, 0) != 0 || dup2(input, 0) != 0 || dup2(output, 1) != 1 ||
      dup2(error, 2) != 2 || close_range(3, ~0U, 0) != 0 || chdir("/") != 0 ||
      sigprocmask(SIG_SETMASK, &none, nullptr) != 0) {
    failed = "prepare ";
  } else if (run.confine != nullptr) {
    if (const absl::Status status = run.confine(); !status.ok()) {
      Say(status.message());
      _exit(kNotRun);
    }
  }
  if (failed == nullptr) {
    execve(run.program.c_str(), vectors.arguments.data(),
           vectors.environment.data());
    failed = "execute ";
  }
  const char* const cause = strerrordesc_np(errno);
  Say(failed);
  Say(run.program);
  Say(": ");
  Say(cause == nullptr ? "unknown error" : cause);
  _exit(kNotRun);
}

// What posix_spawn can't do: be born in a cgroup, and `confine`.
absl::StatusOr<pid_t> ForkProgram(const Command& run, int input, int output,
                                  int error) {
  ForkOptions options;
  options.exit_signal = SIGCHLD;
  options.cgroup = run.cgroup;
  const Vectors vectors(run);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // No handler of ours may run in the child.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  absl::StatusOr<Forked> forked = Fork(options);
  if (forked.ok() && forked->pid == 0) {
    BecomeProgram(run, vectors, input, output, error);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  RETURN_IF_ERROR(forked.status());
  return forked->pid;
}

absl::StatusOr<pid_t> StartProgram(const Command& run, int input, int output,
                                   int error) {
  return run.confine == nullptr && run.cgroup < 0
             ? Spawner().Spawn(run, input, output, error)
             : ForkProgram(run, input, output, error);
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

// waitid(2) without waiting: whether there was something to reap.
bool TryReap(pid_t pid, siginfo_t& info) {
  int result = 0;
  do {
    info = {};
    result = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  // ECHILD: somebody else did.
  return result != 0 || info.si_pid == pid;
}

// Children that were killed, or ended, and can't be reaped yet.  Their numbers
// stay theirs until they are.
class LeftBehind {
 public:
  void Add(pid_t pid) {
    const MutexLock lock(mutex_);
    pids_.emplace_back(getpid(), pid);
  }

  size_t Reap() {
    const MutexLock lock(mutex_);
    std::erase_if(pids_, [](const auto& each) {
      siginfo_t info;
      // Of a fork's parent: none of ours.
      return each.first != getpid() || TryReap(each.second, info);
    });
    return pids_.size();
  }

 private:
  Mutex mutex_;
  // Whose child, and the child.
  std::vector<std::pair<pid_t, pid_t>> pids_ ABSL_GUARDED_BY(mutex_);
};

LeftBehind& Left() {
  static LeftBehind* const left = new LeftBehind;
  return *left;
}

// The exit status as shells tell it, of a child that ends now.  Unavailable:
// it can't be had in time, and was left behind.
absl::StatusOr<int> ReapSoon(pid_t pid, int pidfd, Deadline deadline) {
  siginfo_t info;
  bool ended = false;
  while (!TryReap(pid, info)) {
    if (deadline.passed()) {
      Left().Add(pid);
      return absl::UnavailableError(
          "ended, but the kernel doesn't let it go (a tracer?)");
    }
    // With a tracer it has ended before it can be reaped, and nothing tells
    // when that is.
    if (ended) {
      poll(nullptr, 0, 1);
    }
    pollfd end = {pidfd, POLLIN, 0};
    ended = poll(&end, 1, deadline.poll_timeout()) > 0;
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

class Child {
 public:
  Child(pid_t pid, int cgroup)
      : pid_(pid),
        cgroup_(cgroup),
        // Not reaped yet, so the number is still its own.
        pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Nothing of a program outlives its run by our fault.
  ~Child() {
    if (pid_ > 0) {
      Kill();
      (void)Reap();
    }
  }

  absl::StatusOr<int> Reap() {
    return ReapSoon(std::exchange(pid_, -1), pidfd_.get(),
                    Deadline::After(kReapLimit));
  }

  int pidfd() const { return pidfd_.get(); }

 private:
  void Kill() const {
    // By its own number, too: a fork may not have its group yet.
    kill(pid_, SIGKILL);
    kill(-pid_, SIGKILL);
    if (cgroup_ >= 0) {
      const UniqueFd file(
          openat(cgroup_, "cgroup.kill", O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
      [[maybe_unused]] const ssize_t written = write(file.get(), "1", 1);
    }
  }

  pid_t pid_;
  const int cgroup_;
  const UniqueFd pidfd_;
};

absl::Status CheckPatience(const Command& run, bool cancelled) {
  if (cancelled) {
    return absl::CancelledError("nobody waits for it any more, killed");
  }
  return run.deadline.passed()
             ? absl::DeadlineExceededError("no answer in time, killed")
             : absl::OkStatus();
}

// Reads both pipes until the process has ended.  A grandchild that holds them
// open is no reason to wait.
absl::Status Follow(const Command& run, int pidfd, int output_fd, int error_fd,
                    Output& output, Output& error) {
  for (bool ended = false; !ended;) {
    pollfd fds[] = {{pidfd, POLLIN, 0},
                    {output.open ? output_fd : -1, POLLIN, 0},
                    {error.open ? error_fd : -1, POLLIN, 0},
                    {run.cancel, POLLIN, 0}};
    if (poll(fds, std::size(fds), run.deadline.poll_timeout()) < 0 &&
        errno != EINTR) {
      return ErrnoError("poll", "program");
    }
    ended = fds[0].revents != 0;
    Drain(output_fd, kMaxOutput + 1, output);
    Drain(error_fd, kErrorTail, error);
    if (output.text.size() > kMaxOutput) {
      return absl::ResourceExhaustedError("answer is larger than 1 MiB");
    }
    if (!ended) {
      RETURN_IF_ERROR(CheckPatience(run, fds[3].revents != 0));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandResult> RunCommand(const Command& run) {
  ReapLeftBehind();
  ASSIGN_OR_RETURN(UniqueFd input, MakeInput(run.input));
  ASSIGN_OR_RETURN(Pipe output_pipe, MakePipe());
  ASSIGN_OR_RETURN(Pipe error_pipe, MakePipe());
  ASSIGN_OR_RETURN(const pid_t pid,
                   StartProgram(run, input.get(), output_pipe.write_end.get(),
                                error_pipe.write_end.get()));
  Child child(pid, run.cgroup);
  if (child.pidfd() < 0) {
    return ErrnoError("open", "pidfd of the program");
  }
  output_pipe.write_end.reset();
  error_pipe.write_end.reset();
  Output output;
  Output error;
  RETURN_IF_ERROR(Follow(run, child.pidfd(), output_pipe.read_end.get(),
                         error_pipe.read_end.get(), output, error));
  CommandResult result;
  ASSIGN_OR_RETURN(result.status, child.Reap());
  result.output = std::move(output.text);
  result.error_tail = std::move(error.text);
  return result;
}

absl::StatusOr<int> KillChild(pid_t pid, Deadline deadline) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  kill(pid, SIGKILL);
  return ReapSoon(pid, pidfd.get(), deadline);
}

size_t ReapLeftBehind() {
  return Left().Reap();
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
