#include "runtime/keeper/program.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

template <typename Strings>
std::vector<char*> Pointers(const Strings& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

std::string SearchPath(const v1::Process& process) {
  for (const std::string& entry : process.env()) {
    absl::string_view value = entry;
    if (absl::ConsumePrefix(&value, "PATH=")) {
      return std::string(value);
    }
  }
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

void ResetSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) {
    // SIGKILL, SIGSTOP and libc's own refuse: they are as they should be.
    signal(number, SIG_DFL);
  }
}

}  // namespace

absl::Status ExecuteProgram(const v1::Process& process) {
  const std::string& program = process.argv(0);
  const std::vector<char*> argv = Pointers(process.argv());
  const std::vector<char*> env = Pointers(process.env());
  ResetSignals();
  if (absl::StrContains(program, "/")) {
    execve(program.c_str(), argv.data(), env.data());
    return ErrnoError("exec", program);
  }
  // As execvpe(3) does, but with the container's PATH, not ours.
  int error = ENOENT;
  for (absl::string_view directory : absl::StrSplit(SearchPath(process), ':')) {
    const std::string path =
        absl::StrCat(directory.empty() ? "." : directory, "/", program);
    execve(path.c_str(), argv.data(), env.data());
    if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
    }
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
      break;
    }
  }
  errno = error;
  return error == ENOENT
             ? absl::NotFoundError(absl::StrCat(
                   "exec ", program, ": executable file not found in $PATH"))
             : ErrnoError("exec", program);
}

}  // namespace caisson::keeper
