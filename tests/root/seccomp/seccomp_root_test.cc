#include <errno.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/seccomp/profile.h"

namespace caisson::seccomp {
namespace {

constexpr uint64_t kSysAdmin = uint64_t{1} << 21;
constexpr uint64_t kNetRaw = uint64_t{1} << 13;

bool Load(const std::string& program) {
  sock_fprog filter = {
      static_cast<uint16_t>(program.size() / sizeof(sock_filter)),
      reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()))};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

// 0 when the call succeeds, its errno otherwise, -1 when the child died.
int ErrnoUnder(uint64_t capabilities, const std::function<long()>& call,
               absl::string_view profile = DefaultProfile()) {
  static const auto compiler = Compiler::Create();
  absl::StatusOr<std::string> program =
      compiler->Compile(profile, capabilities);
  EXPECT_TRUE(program.ok()) << program.status();
  const pid_t pid = fork();
  if (pid == 0) {
    if (!Load(*program)) {
      _exit(255);
    }
    const long result = call();
    // Not _exit(): what AddressSanitizer does before it the filter may forbid.
    syscall(SYS_exit_group, result < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  return syscall(number, a, b, c, d, 0, 0);
}

TEST(SeccompRootTest, DeniesWhatOpensTheKernel) {
  for (long number : {SYS_mount,
                      SYS_umount2,
                      SYS_unshare,
                      SYS_setns,
                      SYS_pivot_root,
                      SYS_fsopen,
                      SYS_open_tree,
                      SYS_move_mount,
                      SYS_open_by_handle_at,
                      SYS_bpf,
                      SYS_perf_event_open,
                      SYS_io_uring_setup,
                      SYS_userfaultfd,
                      SYS_keyctl,
                      SYS_add_key,
                      SYS_request_key,
                      SYS_kexec_load,
                      SYS_init_module,
                      SYS_finit_module,
                      SYS_process_vm_readv,
                      SYS_syslog,
                      SYS_quotactl,
                      SYS_acct,
                      SYS_swapon,
                      SYS_reboot,
                      SYS_chroot,
                      SYS_lookup_dcookie,
                      SYS_nfsservctl,
                      SYS_clock_settime}) {
    EXPECT_EQ(ErrnoUnder(0, [=] { return Call(number); }), EPERM) << number;
  }
}

TEST(SeccompRootTest, CapabilitiesOpenTheirOwnCalls) {
  EXPECT_EQ(ErrnoUnder(kSysAdmin, [] { return Call(SYS_unshare, 0); }), 0);
  EXPECT_NE(ErrnoUnder(kSysAdmin, [] { return Call(SYS_mount); }), EPERM);
  EXPECT_EQ(ErrnoUnder(kNetRaw, [] { return Call(SYS_unshare, 0); }), EPERM);
}

TEST(SeccompRootTest, CloneMakesProcessesButNoNamespaces) {
  EXPECT_EQ(ErrnoUnder(0,
                       [] {
                         const long pid = Call(SYS_clone, SIGCHLD);
                         if (pid == 0) {
                           _exit(0);
                         }
                         return pid;
                       }),
            0);
  for (int flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID,
                   CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(ErrnoUnder(0, [=] { return Call(SYS_clone, flag | SIGCHLD); }),
              EPERM);
  }
  EXPECT_EQ(ErrnoUnder(0, [] { return Call(SYS_clone3); }), ENOSYS);
}

TEST(SeccompRootTest, SocketFamiliesAreAnAllowList) {
  for (int family = 0; family < 47; ++family) {
    const int error =
        ErrnoUnder(0, [=] { return Call(SYS_socket, family, SOCK_DGRAM); });
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6) {
      EXPECT_EQ(error, 0) << family;
    } else if (family != AF_NETLINK) {
      EXPECT_EQ(error, EPERM) << family;
    }
  }
  EXPECT_EQ(
      ErrnoUnder(0, [] { return Call(SYS_socket, AF_NETLINK, SOCK_RAW); }), 0);
  EXPECT_NE(ErrnoUnder(kNetRaw,
                       [] { return Call(SYS_socket, AF_PACKET, SOCK_DGRAM); }),
            EPERM);
}

TEST(SeccompRootTest, PersonalitiesAreThoseThatHarmNothing) {
  EXPECT_EQ(ErrnoUnder(0, [] { return Call(SYS_personality, 0); }), 0);
  EXPECT_EQ(ErrnoUnder(0, [] { return Call(SYS_personality, PER_LINUX32); }),
            0);
  EXPECT_EQ(
      ErrnoUnder(0, [] { return Call(SYS_personality, ADDR_NO_RANDOMIZE); }),
      EPERM);
}

TEST(SeccompRootTest, NewerCallsAreUnknownNotForbidden) {
  EXPECT_EQ(ErrnoUnder(0, [] { return Call(9999); }), ENOSYS);
  // mseal, in no table of the library: allowed by the profile.
  EXPECT_NE(ErrnoUnder(0, [] { return Call(462, 1); }), EPERM);
  EXPECT_NE(ErrnoUnder(0, [] { return Call(462, 1); }), -1);
  // open_tree_attr needs CAP_SYS_ADMIN.
  EXPECT_EQ(ErrnoUnder(0, [] { return Call(467); }), EPERM);
}

#if defined(__x86_64__)
long Call32(long number, long a, long b, long c) {
  long result;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(a), "c"(b), "d"(c)
               : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

TEST(SeccompRootTest, ThirtyTwoBitCallsAreFilteredAlike) {
  constexpr long kGetpid = 20;
  constexpr long kSocketcall = 102;
  constexpr long kSocket = 359;
  constexpr long kUnshare = 310;
  if (ErrnoUnder(0, [] { return Call32(kGetpid, 0, 0, 0); }) != 0) {
    GTEST_SKIP() << "this kernel runs no 32-bit calls";
  }
  EXPECT_EQ(ErrnoUnder(0, [] { return Call32(kUnshare, 0, 0, 0); }), EPERM);
  EXPECT_EQ(ErrnoUnder(0, [] { return Call32(kSocketcall, 1, 0, 0); }), EPERM);
  EXPECT_EQ(ErrnoUnder(0, [] { return Call32(kSocket, 38, 5, 0); }), EPERM);
  EXPECT_EQ(ErrnoUnder(0, [] { return Call32(kSocket, AF_INET, 2, 0); }), 0);
  // Newer than the profile, and mseal, which it allows.
  EXPECT_EQ(ErrnoUnder(0, [] { return Call32(9999, 0, 0, 0); }), ENOSYS);
  EXPECT_NE(ErrnoUnder(0, [] { return Call32(462, 1, 0, 0); }), EPERM);
  // Where a profile leaves the architecture out, none of its calls is there.
  EXPECT_EQ(ErrnoUnder(
                0, [] { return Call32(462, 1, 0, 0); },
                R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                    {"names": ["exit_group", "write", "mseal"],
                     "action": "SCMP_ACT_ALLOW"}]})"),
            ENOSYS);
}

TEST(SeccompRootTest, ThirtyTwoBitPointersAreFilteredAlike) {
  constexpr long kX32 = 0x40000000;
  const int error = ErrnoUnder(0, [] { return Call(kX32 | SYS_unshare, 0); });
  EXPECT_TRUE(error == EPERM || error == ENOSYS) << error;
}
#endif

TEST(SeccompRootTest, CompilingTwiceCostsNothing) {
  const auto compiler = Compiler::Create();
  const absl::Time start = absl::Now();
  ASSERT_TRUE(compiler->Compile(DefaultProfile(), 0).ok());
  const absl::Time first = absl::Now();
  ASSERT_TRUE(compiler->Compile(DefaultProfile(), 0).ok());
  const absl::Duration again = absl::Now() - first;
  std::printf("compile %s, cached %s\n",
              absl::FormatDuration(first - start).c_str(),
              absl::FormatDuration(again).c_str());
  EXPECT_LT(again, absl::Milliseconds(5));
}

}  // namespace
}  // namespace caisson::seccomp
