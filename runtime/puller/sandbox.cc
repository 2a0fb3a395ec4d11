#include "runtime/puller/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/credentials.h"

namespace caisson::puller {
namespace {

// What may be read: certificates, the resolver's files, shared libraries.
constexpr const char* kReadable[] = {"/etc/ssl",
                                     "/usr/share/ca-certificates",
                                     "/usr/lib/ssl",
                                     "/etc/resolv.conf",
                                     "/run/systemd/resolve",
                                     "/etc/hosts",
                                     "/etc/host.conf",
                                     "/etc/nsswitch.conf",
                                     "/etc/gai.conf",
                                     "/etc/services",
                                     "/etc/ld.so.cache",
                                     "/usr/lib/x86_64-linux-gnu",
                                     "/usr/lib/aarch64-linux-gnu"};

constexpr uint64_t kReadFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// All that Linux 5.13 knows of; later kinds are not handed out by us either.
constexpr uint64_t kAllAccess = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

constexpr int kSyscalls[] = {
    // Memory and threads.
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect),
    SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clone),
    SCMP_SYS(clone3), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(gettid),
    SCMP_SYS(getpid), SCMP_SYS(tgkill), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(membarrier),
    // Files it was handed, or may read.
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(close), SCMP_SYS(lseek),
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(fstat), SCMP_SYS(stat),
    SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(fcntl), SCMP_SYS(dup),
    SCMP_SYS(getdents64), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(ioctl), SCMP_SYS(ftruncate),
    // Network and waiting.
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
    // Time, chance, and who am I.
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit), SCMP_SYS(getcpu), SCMP_SYS(prctl)};

absl::Status AllowReading(int ruleset, const char* path) {
  const UniqueFd parent(open(path, O_PATH | O_CLOEXEC));
  if (!parent.ok()) {
    // Not every machine has all of them.
    return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", path);
  }
  landlock_path_beneath_attr rule = {};
  rule.parent_fd = parent.get();
  rule.allowed_access = kReadFiles;
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
              0) == 0) {
    return absl::OkStatus();
  }
  // EINVAL: a file, which has no directory to be read.
  rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
              0) != 0) {
    return ErrnoError("allow reading", path);
  }
  return absl::OkStatus();
}

absl::Status LimitFiles() {
  landlock_ruleset_attr attributes = {};
  attributes.handled_access_fs = kAllAccess;
  const UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes,
                               sizeof(attributes.handled_access_fs), 0)));
  if (!ruleset.ok()) {
    return ErrnoError("create", "landlock ruleset");
  }
  for (const char* path : kReadable) {
    RETURN_IF_ERROR(AllowReading(ruleset.get(), path));
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return ErrnoError("enforce", "landlock ruleset");
  }
  return absl::OkStatus();
}

absl::Status LimitSyscalls() {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (context == nullptr) {
    return absl::InternalError("create seccomp filter: out of memory");
  }
  int failed = 0;
  for (const int number : kSyscalls) {
    // Numbers that this machine hasn't are negative.
    if (number >= 0 && failed == 0) {
      failed = seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
    }
  }
  if (failed == 0) {
    failed = seccomp_load(context);
  }
  seccomp_release(context);
  return failed == 0 ? absl::OkStatus()
                     : absl::ErrnoToStatus(-failed, "load seccomp filter");
}

}  // namespace

absl::Status EnterSandbox(uint32_t uid, uint32_t gid) {
  RETURN_IF_ERROR(kernel::SetIds(uid, gid, {}));
  RETURN_IF_ERROR(kernel::SetCapabilities({}));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("forbid", "new privileges");
  }
  RETURN_IF_ERROR(LimitFiles());
  return LimitSyscalls();
}

}  // namespace caisson::puller
