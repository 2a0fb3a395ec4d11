#include "runtime/kernel/command.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/unique_fd.h"

namespace caisson::kernel {
namespace {

using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

constexpr auto kSoon = std::chrono::seconds(5);

Command ShellCommand(const std::string& script, absl::Duration time) {
  Command run;
  run.program = "/bin/sh";
  run.arguments = {"sh", "-c", script};
  run.environment = {"PATH=/usr/bin:/bin"};
  run.deadline = Deadline::After(time);
  return run;
}

// An orphan that nobody has reaped yet is gone, too.
bool IsGone(int pid) {
  const Deadline deadline = Deadline::After(absl::Seconds(10));
  while (!deadline.passed()) {
    std::ifstream in(absl::StrCat("/proc/", pid, "/stat"));
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    if (text.empty() || absl::StrContains(text, ") Z ")) {
      return true;
    }
  }
  return false;
}

// A process that traces others and never waits for one.
class Tracer {
 public:
  Tracer() {
    int to[2];
    int from[2];
    EXPECT_EQ(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      int target = 0;
      while (read(to[0], &target, sizeof(target)) == sizeof(target)) {
        const bool done = ptrace(PTRACE_SEIZE, target, nullptr, nullptr) == 0;
        (void)!write(from[1], &done, sizeof(done));
      }
      _exit(0);
    }
    close(to[0]);
    close(from[1]);
    to_ = UniqueFd(to[1]);
    from_ = UniqueFd(from[0]);
  }

  ~Tracer() { Stop(); }

  void Stop() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
  }

  bool Seize(pid_t target) {
    bool done = false;
    (void)!write(to_.get(), &target, sizeof(target));
    return read(from_.get(), &done, sizeof(done)) == sizeof(done) && done;
  }

 private:
  pid_t pid_ = 0;
  UniqueFd to_;
  UniqueFd from_;
};

// The pid that a program wrote to a pipe of ours, a line.
int ReadPid(int fd) {
  std::string text;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') {
    text.push_back(c);
  }
  int pid = 0;
  EXPECT_TRUE(absl::SimpleAtoi(text, &pid)) << text;
  return pid;
}

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    std::string name = testing::TempDir() + "/commandXXXXXX";
    root_ = mkdtemp(name.data());
    fifo_ = root_ + "/fifo";
    EXPECT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
    // Both ends, so that neither side waits for the other.
    fd_ = UniqueFd(open(fifo_.c_str(), O_RDWR | O_CLOEXEC));
  }

  ~CommandTest() override {
    unlink(fifo_.c_str());
    rmdir(root_.c_str());
  }

  std::string root_;
  std::string fifo_;
  UniqueFd fd_;
};

TEST_F(CommandTest, TheDeadlineEndsItWithItsProcessGroup) {
  const auto start = Clock::now();
  const auto result = RunCommand(
      ShellCommand(absl::StrCat("sleep 300 & echo $! >", fifo_, "; sleep 300"),
                   absl::Milliseconds(300)));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - start, kSoon);
  EXPECT_TRUE(IsGone(ReadPid(fd_.get())));
}

TEST_F(CommandTest, WhatIsReadableCancelsIt) {
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  Command run =
      ShellCommand(absl::StrCat("sleep 300 & echo $! >", fifo_, "; wait"),
                   absl::Seconds(100));
  run.cancel = cancel.get();
  absl::StatusOr<CommandResult> result = CommandResult();
  std::thread thread([&] { result = RunCommand(run); });
  const int pid = ReadPid(fd_.get());
  eventfd_write(cancel.get(), 1);
  thread.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(IsGone(pid));
  // One that was cancelled before.
  EXPECT_EQ(RunCommand(run).status().code(), absl::StatusCode::kCancelled);
}

// A tracer that doesn't wait keeps a killed process from being reaped.
TEST_F(CommandTest, AProgramThatCantBeReapedHoldsUpNobody) {
  Tracer tracer;
  absl::StatusOr<CommandResult> result = CommandResult();
  std::thread thread([&] {
    result = RunCommand(
        ShellCommand(absl::StrCat("echo $$ >", fifo_, "; exec sleep 300"),
                     absl::Milliseconds(500)));
  });
  const auto start = Clock::now();
  const int pid = ReadPid(fd_.get());
  const bool seized = tracer.Seize(pid);
  thread.join();
  if (!seized) {
    GTEST_SKIP() << "may not trace";
  }
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - start, kSoon);
  EXPECT_EQ(ReapLeftBehind(), 1u);
  tracer.Stop();
  EXPECT_EQ(ReapLeftBehind(), 0u);
  EXPECT_TRUE(IsGone(pid));
}

TEST_F(CommandTest, AnEndWithoutAStatusIsAnError) {
  Tracer tracer;
  absl::StatusOr<CommandResult> result = CommandResult();
  std::thread thread([&] {
    result = RunCommand(
        ShellCommand(absl::StrCat("echo $$ >", fifo_, "; exec sleep 300"),
                     absl::Seconds(100)));
  });
  const int pid = ReadPid(fd_.get());
  const bool seized = tracer.Seize(pid);
  kill(pid, SIGKILL);
  thread.join();
  if (!seized) {
    GTEST_SKIP() << "may not trace";
  }
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  tracer.Stop();
  EXPECT_EQ(ReapLeftBehind(), 0u);
}

TEST_F(CommandTest, ManyThreadsRunPrograms) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      for (int k = 0; k < 20; ++k) {
        const auto result = RunCommand(ShellCommand(
            absl::StrCat("echo ", i, "; exit ", k), absl::Seconds(60)));
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_EQ(result->status, k);
        EXPECT_THAT(result->output, StartsWith(absl::StrCat(i)));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace caisson::kernel
