#include "tests/security/opens_inside.h"

#include <cstdlib>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/machine.h"

namespace caisson::cri_test {
namespace {

struct Call {
  std::string pid;
  std::string text;
};

std::vector<Call> ReadCalls(const std::vector<std::string>& lines) {
  std::vector<Call> calls;
  for (const std::string& line : lines) {
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
  return std::atoi(
      ::caisson::testing::ShellOutput(
          absl::StrCat("pgrep -o -P $(cat ", directory, "/caissond.pid)"))
          .c_str());
}

std::vector<std::string> OpensInside(const std::vector<std::string>& lines) {
  const std::vector<Call> calls = ReadCalls(lines);
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
