#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process.h"
#include "runtime/pod/keeper.h"
#include "runtime/pod/keeper_process.h"

// Linux 6.3; not in Debian 12's libc.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace caisson::pod {
namespace {

constexpr int kServerSocket = 3;

// A copy of the program that nobody can write to, whoever gets hold of
// /proc/PID/exe (CVE-2019-5736).
absl::StatusOr<UniqueFd> SealedCopy(const std::string& path) {
  const UniqueFd source(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.ok()) {
    return ErrnoError("open", path);
  }
  struct stat facts = {};
  if (fstat(source.get(), &facts) != 0) {
    return ErrnoError("stat", path);
  }
  UniqueFd copy(memfd_create("caisson-keeper",
                             MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!copy.ok()) {
    return ErrnoError("create memory file for", path);
  }
  off_t left = facts.st_size;
  while (left > 0) {
    const ssize_t sent =
        sendfile(copy.get(), source.get(), nullptr, static_cast<size_t>(left));
    if (sent <= 0) {
      return ErrnoError("copy", path);
    }
    left -= sent;
  }
  if (fcntl(copy.get(), F_ADD_SEALS,
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return ErrnoError("seal copy of", path);
  }
  return copy;
}

// What the new process needs, opened before the fork: between fork and exec of
// a multi-threaded process only async-signal-safe calls are allowed.
struct Launch {
  UniqueFd program;
  UniqueFd socket;
  UniqueFd null;
  UniqueFd cgroup;
  bool allow_faults = false;
};

[[noreturn]] void RunServer(const Launch& launch) {
  setsid();
  // Above the numbers that are about to be taken.
  const int program = fcntl(launch.program.get(), F_DUPFD_CLOEXEC, 10);
  if (dup2(launch.null.get(), 0) < 0 || dup2(launch.null.get(), 1) < 0 ||
      dup2(launch.socket.get(), kServerSocket) < 0) {
    _exit(126);
  }
  if (launch.socket.get() == kServerSocket) {
    fcntl(kServerSocket, F_SETFD, 0);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  close_range(kServerSocket + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  const char* argv[] = {"caisson-keeper", "--fork-server",
                        launch.allow_faults ? "--allow-faults" : nullptr,
                        nullptr};
  const char* env[] = {nullptr};
  syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
  _exit(127);
}

// How long a fork server may take to be ready: it copies a mount namespace.
constexpr absl::Duration kLaunchTime = absl::Seconds(10);
// And to end once its socket is closed.
constexpr absl::Duration kEndTime = absl::Seconds(1);

// A fork server that runs; one without a socket does not.
struct Server {
  UniqueFd socket;
  UniqueFd pidfd;
  int pid = 0;
};

// Closes its socket, and kills it when that does not end it in time.
void End(Server& server, absl::Duration time) {
  server.socket.reset();
  server.pid = 0;
  if (!server.pidfd.ok()) {
    return;
  }
  const int pidfd = server.pidfd.get();
  if (!AwaitProcessEnd(pidfd, Deadline::After(time)).ok()) {
    [[maybe_unused]] absl::Status killed =
        kernel::SignalProcess(pidfd, SIGKILL);
    killed = AwaitProcessEnd(pidfd, Deadline::After(kEndTime));
  }
  [[maybe_unused]] const bool reaped = kernel::Reap(pidfd, false).ok();
  server.pidfd.reset();
}

absl::StatusOr<Server> ForkProgram(const KeeperFactory::Options& options) {
  Launch launch;
  ASSIGN_OR_RETURN(launch.program, SealedCopy(options.binary));
  launch.null.reset(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!options.keepers_cgroup.empty()) {
    launch.cgroup.reset(open(options.keepers_cgroup.c_str(),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!launch.cgroup.ok()) {
      return ErrnoError("open", options.keepers_cgroup);
    }
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  Server server;
  server.socket.reset(ends[0]);
  launch.socket.reset(ends[1]);
  launch.allow_faults = options.allow_faults;
  kernel::ForkOptions fork;
  fork.cgroup = launch.cgroup.get();
  fork.exit_signal = SIGCHLD;
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(fork));
  if (forked.pid == 0) {
    RunServer(launch);
  }
  server.pidfd = std::move(forked.pidfd);
  server.pid = forked.pid;
  return server;
}

absl::Status AwaitServer(const Server& server,
                         const KeeperFactory::Options& options,
                         Deadline deadline) {
  if (options.place != nullptr) {
    RETURN_IF_ERROR(options.place(server.pid));
  }
  ASSIGN_OR_RETURN(const Frame ready,
                   ReceiveFrame(server.socket.get(), deadline));
  return ready.bytes.empty() ? absl::OkStatus()
                             : absl::FailedPreconditionError(ready.bytes);
}

absl::StatusOr<Server> LaunchServer(const KeeperFactory::Options& options,
                                    Deadline deadline) {
  ASSIGN_OR_RETURN(Server server, ForkProgram(options));
  if (const absl::Status ready = AwaitServer(server, options, deadline);
      !ready.ok()) {
    End(server, absl::ZeroDuration());
    return ready;
  }
  return server;
}

absl::StatusOr<KeeperFactory::NewKeeper> ReadKeeper(Frame answer,
                                                    UniqueFd socket) {
  if (answer.bytes.size() != 4 || answer.fds.size() != 1) {
    return absl::InternalError("fork keeper: malformed answer");
  }
  uint32_t pid = 0;
  for (size_t i = 0; i < 4; ++i) {
    pid |= uint32_t{static_cast<unsigned char>(answer.bytes[i])} << (8 * i);
  }
  KeeperFactory::NewKeeper keeper;
  keeper.socket = std::move(socket);
  keeper.pidfd = std::move(answer.fds[0]);
  ASSIGN_OR_RETURN(keeper.identity,
                   IdentifyProcess(keeper.pidfd.get(), static_cast<int>(pid)));
  return keeper;
}

absl::StatusOr<KeeperFactory::NewKeeper> TryFork(int server,
                                                 Deadline deadline) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const int fds[] = {theirs.get()};
  RETURN_IF_ERROR(SendFrame(server, "fork", fds, deadline));
  ASSIGN_OR_RETURN(Frame frame, ReceiveFrame(server, deadline));
  return ReadKeeper(std::move(frame), std::move(ours));
}

class ForkServer : public KeeperFactory {
 public:
  ForkServer(Options options, Server server)
      : options_(std::move(options)),
        server_(std::move(server)),
        pid_(server_.pid) {}

  ~ForkServer() override {
    const MutexLock lock(mutex_);
    End(server_, kEndTime);
  }

  absl::StatusOr<NewKeeper> Fork(Deadline deadline) override;

  int server_pid() override { return pid_; }

 private:
  absl::StatusOr<NewKeeper> ForkBy(Server& server, Deadline deadline);

  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  // One that talks with the server takes it out meanwhile: others wait no
  // longer than they want to.
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  Server server_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> pid_;
};

absl::StatusOr<KeeperFactory::NewKeeper> ForkServer::ForkBy(Server& server,
                                                            Deadline deadline) {
  absl::StatusOr<NewKeeper> keeper =
      absl::UnavailableError("fork server is not running");
  if (server.socket.ok()) {
    keeper = TryFork(server.socket.get(), deadline);
  }
  if (keeper.ok()) {
    return keeper;
  }
  End(server, absl::ZeroDuration());
  if (absl::IsDeadlineExceeded(keeper.status())) {
    return keeper;
  }
  LogWarning(absl::StrCat("restart fork server: ", keeper.status().message()));
  ASSIGN_OR_RETURN(server, LaunchServer(options_, deadline));
  pid_ = server.pid;
  return TryFork(server.socket.get(), deadline);
}

absl::StatusOr<KeeperFactory::NewKeeper> ForkServer::Fork(Deadline deadline) {
  Server server;
  {
    const MutexLock lock(mutex_);
    while (busy_) {
      if (!changed_.WaitUntil(mutex_, deadline) && busy_) {
        return absl::DeadlineExceededError(
            "fork keeper: the fork server is busy");
      }
    }
    busy_ = true;
    server = std::move(server_);
  }
  absl::StatusOr<NewKeeper> keeper = ForkBy(server, deadline);
  const MutexLock lock(mutex_);
  server_ = std::move(server);
  busy_ = false;
  changed_.NotifyOne();
  return keeper;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeeperFactory>> KeeperFactory::Start(
    const Options& options) {
  absl::StatusOr<Server> server =
      LaunchServer(options, Deadline::After(kLaunchTime));
  RETURN_IF_ERROR(Annotate(server.status(), "start fork server"));
  return std::make_unique<ForkServer>(options, std::move(server).value());
}

}  // namespace caisson::pod
