#include "tests/security/tracer.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

using ::caisson::testing::ReadFile;
using ::caisson::testing::ShellOutput;

constexpr char kCalls[] =
    "trace=open,openat,openat2,clone,clone3,fork,vfork,unshare,setns,"
    "pivot_root,execve";

struct Call {
  std::string pid;
  std::string text;
};

std::vector<Call> ReadCalls(const std::string& path) {
  std::vector<Call> calls;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t space = line.find(' ');
    if (space != std::string::npos) {
      calls.push_back({line.substr(0, space), line.substr(space)});
    }
  }
  return calls;
}

bool Enters(const Call& call) {
  return absl::StrContains(call.text, "unshare(CLONE_NEWNS") ||
         (absl::StrContains(call.text, "setns(") &&
          absl::StrContains(call.text, "CLONE_NEWCGROUP"));
}

// Those that are inside from their birth.
std::set<std::string> BornInside(const std::vector<Call>& calls) {
  static const std::regex kForked(R"(clone.*\) = (\d+)$)");
  std::set<std::string> inside;
  std::set<std::string> born;
  for (const Call& call : calls) {
    if (Enters(call)) {
      inside.insert(call.pid);
    }
    std::smatch match;
    if (inside.contains(call.pid) &&
        std::regex_search(call.text, match, kForked)) {
      inside.insert(match[1]);
      born.insert(match[1]);
    }
  }
  return born;
}

}  // namespace

pid_t ForkServerOf(const std::string& directory) {
  return std::atoi(ShellOutput(absl::StrCat("pgrep -o -P $(cat ", directory,
                                            "/caissond.pid)"))
                       .c_str());
}

Tracer::Tracer(pid_t process, const std::string& file) : file_(file) {
  const std::string number = absl::StrCat(process);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execlp("strace", "strace", "-f", "-qq", "-s", "256", "-e", kCalls, "-o",
           file.c_str(), "-p", number.c_str(), nullptr);
    _exit(127);
  }
  const std::string status = absl::StrCat("/proc/", process, "/status");
  while (absl::StrContains(ReadFile(status), "TracerPid:\t0\n")) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) {
      ADD_FAILURE() << "strace ended";
      pid_ = -1;
      return;
    }
    usleep(1000);
  }
}

void Tracer::End() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

Tracer::~Tracer() {
  End();
}

std::vector<std::string> Tracer::OpensInside() {
  End();
  const std::vector<Call> calls = ReadCalls(file_);
  std::set<std::string> inside = BornInside(calls);
  std::set<std::string> ended;
  std::vector<std::string> opens;
  for (const Call& call : calls) {
    if (Enters(call)) {
      inside.insert(call.pid);
    } else if (absl::StrContains(call.text, " execve(")) {
      ended.insert(call.pid);
    } else if (inside.contains(call.pid) && !ended.contains(call.pid) &&
               absl::StrContains(call.text, " open")) {
      opens.push_back(call.text);
    }
  }
  return opens;
}

}  // namespace caisson::cri_test
