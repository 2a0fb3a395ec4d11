#include "tests/security/strace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/security/process_facts.h"
#include "tests/support/await.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

bool Traced(int pid) {
  int tracer = 0;
  return absl::SimpleAtoi(StatusOf(pid, "TracerPid"), &tracer) && tracer != 0;
}

}  // namespace

Strace::Strace(const std::vector<int>& pids, const std::string& calls,
               std::string file)
    : file_(std::move(file)) {
  std::vector<std::string> words = {
      "strace", "-f", "-qq", "-s", "256", "-o", file_, "-e", "trace=" + calls};
  for (const int pid : pids) {
    words.push_back(absl::StrCat("-p", pid));
  }
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    execvp("strace", arguments.data());
    _exit(127);
  }
  for (const int pid : pids) {
    EXPECT_TRUE(::caisson::testing::Await([&] { return Traced(pid); }))
        << "strace of " << pid;
  }
}

Strace::~Strace() {
  if (pid_ > 0) {
    kill(pid_, SIGINT);
    waitpid(pid_, nullptr, 0);
  }
}

std::vector<std::string> Strace::End() {
  kill(pid_, SIGINT);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return absl::StrSplit(::caisson::testing::ReadFile(file_), '\n',
                        absl::SkipEmpty());
}

}  // namespace caisson::cri_test
