#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

namespace caisson::testing {

// Runs `body`, the life of a daemon, in a process of its own; its exit code:
// what `body` returns, 1 when an expectation failed in it, 128 when it was
// killed.  The caller has no threads.
inline int InProcess(const std::function<int()>& body) {
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    int code = body();
    if (::testing::Test::HasFailure()) {
      code = 1;
    }
    fflush(nullptr);
    _exit(code);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace caisson::testing
