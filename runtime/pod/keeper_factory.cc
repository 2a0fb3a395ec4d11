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

#include <cerrno>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process.h"
#include "runtime/pod/keeper.h"

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

class ForkServer : public KeeperFactory {
 public:
  explicit ForkServer(Options options) : options_(std::move(options)) {}

  ~ForkServer() override {
    socket_.reset();
    if (pidfd_.ok()) {
      [[maybe_unused]] const bool reaped =
          kernel::Reap(pidfd_.get(), true).ok();
    }
  }

  absl::Status Launch();

  absl::StatusOr<NewKeeper> Fork() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    absl::StatusOr<NewKeeper> keeper = TryFork();
    if (!keeper.ok()) {
      LogWarning(
          absl::StrCat("restart fork server: ", keeper.status().message()));
      RETURN_IF_ERROR(Launch());
      keeper = TryFork();
    }
    return keeper;
  }

 private:
  absl::StatusOr<NewKeeper> TryFork();

  const Options options_;
  std::mutex mutex_;
  UniqueFd socket_;
  UniqueFd pidfd_;
};

absl::Status ForkServer::Launch() {
  struct Launch launch;
  ASSIGN_OR_RETURN(launch.program, SealedCopy(options_.binary));
  launch.null.reset(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!options_.keepers_cgroup.empty()) {
    launch.cgroup.reset(open(options_.keepers_cgroup.c_str(),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!launch.cgroup.ok()) {
      return ErrnoError("open", options_.keepers_cgroup);
    }
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  socket_.reset(ends[0]);
  launch.socket.reset(ends[1]);
  launch.allow_faults = options_.allow_faults;
  if (pidfd_.ok()) {
    [[maybe_unused]] const bool reaped = kernel::Reap(pidfd_.get(), true).ok();
  }
  kernel::ForkOptions options;
  options.cgroup = launch.cgroup.get();
  options.exit_signal = SIGCHLD;
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    RunServer(launch);
  }
  pidfd_ = std::move(forked.pidfd);
  // Else its end would not be seen.
  launch.socket.reset();
  if (options_.place != nullptr) {
    const absl::Status placed = options_.place(forked.pid);
    if (!placed.ok()) {
      // So that it ends, and the next fork is of another.
      socket_.reset();
      return placed;
    }
  }
  ASSIGN_OR_RETURN(const Frame ready, ReceiveFrame(socket_.get()));
  return ready.bytes.empty() ? absl::OkStatus()
                             : absl::FailedPreconditionError(ready.bytes);
}

absl::StatusOr<KeeperFactory::NewKeeper> ForkServer::TryFork() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  NewKeeper keeper;
  keeper.socket.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  const int fds[] = {theirs.get()};
  RETURN_IF_ERROR(SendFrame(socket_.get(), "fork", fds));
  ASSIGN_OR_RETURN(Frame frame, ReceiveFrame(socket_.get()));
  if (frame.bytes.size() != 4) {
    return absl::InternalError("fork keeper: malformed answer");
  }
  uint32_t pid = 0;
  for (size_t i = 0; i < 4; ++i) {
    pid |= uint32_t{static_cast<unsigned char>(frame.bytes[i])} << (8 * i);
  }
  keeper.pid = static_cast<int>(pid);
  return keeper;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeeperFactory>> KeeperFactory::Start(
    const Options& options) {
  auto server = std::make_unique<ForkServer>(options);
  RETURN_IF_ERROR(Annotate(server->Launch(), "start fork server"));
  return server;
}

}  // namespace caisson::pod
