#include "runtime/keeper/program.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
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

// What the program is looked for at.
std::vector<std::string> Candidates(const v1::Process& process) {
  const std::string& program = process.argv(0);
  if (absl::StrContains(program, "/")) {
    return {program};
  }
  std::vector<std::string> paths;
  for (absl::string_view directory : absl::StrSplit(SearchPath(process), ':')) {
    paths.push_back(
        absl::StrCat(directory.empty() ? "." : directory, "/", program));
  }
  return paths;
}

bool IsAbsence(int error) {
  return error == ENOENT || error == ENOTDIR;
}

absl::Status Failure(const std::string& program, int error) {
  errno = error;
  return error == ENOENT && !absl::StrContains(program, "/")
             ? absl::NotFoundError(absl::StrCat(
                   "exec ", program, ": executable file not found in $PATH"))
             : ErrnoError("exec", program);
}

// The heap must not ask the kernel for more, nor give anything back, until the
// program runs: errors are put together under its filter.
void KeepRoomOnHeap() {
  constexpr size_t kRoom = 64 << 10;
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_MMAP_THRESHOLD, INT_MAX);
  void* const room = malloc(kRoom);
  // Written to, or the compiler leaves it out.
  if (room != nullptr) {
    *static_cast<volatile char*>(room) = 0;
  }
  free(room);
}

}  // namespace

absl::StatusOr<Program> Program::Prepare(const v1::Process& process) {
  Program program;
  program.process_ = &process;
  umask(process.umask());
  ResetSignals();
  int error = ENOENT;
  for (std::string& path : Candidates(process)) {
    // With the ids and capabilities that execve will look at.
    if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0) {
      program.paths_.push_back(std::move(path));
    } else if (!IsAbsence(errno) || absl::StrContains(process.argv(0), "/")) {
      error = errno;
    }
  }
  if (program.paths_.empty()) {
    return Failure(process.argv(0), error);
  }
  program.argv_ = Pointers(process.argv());
  program.env_ = Pointers(process.env());
  KeepRoomOnHeap();
  return program;
}

absl::Status Program::Execute() const {
  // As execvpe(3) does.
  int error = ENOENT;
  for (const std::string& path : paths_) {
    execve(path.c_str(), argv_.data(), env_.data());
    if (!IsAbsence(errno) || paths_.size() == 1) {
      error = errno;
    }
    if (!IsAbsence(errno) && errno != EACCES) {
      break;
    }
  }
  return Failure(process_->argv(0), error);
}

}  // namespace caisson::keeper
