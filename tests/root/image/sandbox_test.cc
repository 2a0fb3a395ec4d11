#include "runtime/puller/sandbox.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "gtest/gtest.h"
#include "tests/support/machine.h"

namespace caisson::puller {
namespace {

constexpr uint32_t kNobody = 65534;

// Runs `inside` in a sandboxed child: its result, -1 when there is none.
int RunSandboxed(int (*inside)()) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(EnterSandbox(kNobody, kNobody).ok() ? inside() : 99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int TryOpen(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC, 0600);
  return fd >= 0 ? 0 : errno;
}

TEST(PullerSandboxTest, HidesFilesOfTheHost) {
  CAISSON_REQUIRE_ROOT();
  const auto denied = [](int result) {
    return result == EACCES || result == EPERM;
  };
  EXPECT_TRUE(
      denied(RunSandboxed([] { return TryOpen("/etc/shadow", O_RDONLY); })));
  // World-readable: only Landlock stands in the way.
  EXPECT_TRUE(
      denied(RunSandboxed([] { return TryOpen("/etc/passwd", O_RDONLY); })));
  EXPECT_TRUE(denied(
      RunSandboxed([] { return TryOpen("/proc/self/status", O_RDONLY); })));
  EXPECT_TRUE(denied(RunSandboxed(
      [] { return TryOpen("/tmp/caisson-x", O_WRONLY | O_CREAT); })));
}

TEST(PullerSandboxTest, LeavesWhatAPullNeeds) {
  CAISSON_REQUIRE_ROOT();
  EXPECT_EQ(RunSandboxed([] { return TryOpen("/etc/hosts", O_RDONLY); }), 0);
  EXPECT_EQ(RunSandboxed([] {
              return TryOpen("/etc/ssl/certs", O_RDONLY | O_DIRECTORY);
            }),
            0);
  EXPECT_EQ(RunSandboxed([] {
              const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
              return fd >= 0 ? 0 : errno;
            }),
            0);
}

TEST(PullerSandboxTest, StartsNoProgramAndRegainsNothing) {
  CAISSON_REQUIRE_ROOT();
  EXPECT_EQ(RunSandboxed([] {
              char* const arguments[] = {nullptr};
              execve("/bin/true", arguments, arguments);
              return errno;
            }),
            EPERM);
  EXPECT_EQ(RunSandboxed([] { return setuid(0) == 0 ? 0 : errno; }), EPERM);
  EXPECT_EQ(RunSandboxed([] {
              return mount("x", "/mnt", "tmpfs", 0, nullptr) == 0 ? 0 : errno;
            }),
            EPERM);
  EXPECT_EQ(RunSandboxed([] {
              return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : errno;
            }),
            EPERM);
  EXPECT_EQ(RunSandboxed([] { return static_cast<int>(geteuid() % 256); }),
            static_cast<int>(kNobody % 256));
}

}  // namespace
}  // namespace caisson::puller
