#include "runtime/network/leftovers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/process.h"

namespace caisson::network {
namespace {

// A plugin's variables come first; nobody's environment is read to its end.
constexpr size_t kMaxEnvironment = 64 << 10;

std::string ReadEnvironment(int proc) {
  const UniqueFd fd(openat(proc, "environ", O_RDONLY | O_CLOEXEC));
  std::string text(kMaxEnvironment, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = read(fd.get(), text.data() + have, text.size() - have);
    if (n <= 0) {
      break;
    }
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  return text;
}

bool SharesPidNamespace(int proc) {
  struct stat own;
  struct stat other;
  return stat("/proc/self/ns/pid", &own) == 0 &&
         fstatat(proc, "ns/pid", &other, 0) == 0 && own.st_ino == other.st_ino;
}

// A pidfd when /proc/`name` is such a process.
UniqueFd Match(const std::string& name, absl::string_view variable) {
  pid_t pid = 0;
  if (!absl::SimpleAtoi(name, &pid) || pid == getpid()) {
    return UniqueFd();
  }
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const UniqueFd proc(open(absl::StrCat("/proc/", name).c_str(),
                           O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!pidfd.ok() || !proc.ok()) {
    return UniqueFd();
  }
  const std::string environment = ReadEnvironment(proc.get());
  const bool is_first = absl::StartsWith(environment, variable.substr(1));
  // The pidfd is the older one: both are the same process unless it is gone.
  if ((!is_first && !absl::StrContains(environment, variable)) ||
      !SharesPidNamespace(proc.get())) {
    return UniqueFd();
  }
  return pidfd;
}

bool HasEnded(int pidfd, Deadline deadline) {
  pollfd end = {pidfd, POLLIN, 0};
  return poll(&end, 1, deadline.poll_timeout()) > 0;
}

}  // namespace

absl::Status EndLeftovers(const std::string& pod_id, Deadline deadline) {
  const std::string variable =
      absl::StrCat(absl::string_view("\0", 1), "CNI_CONTAINERID=", pod_id,
                   absl::string_view("\0", 1));
  // Again until none is found: one may start another while it is being ended.
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                     ListDirectory("/proc"));
    std::vector<UniqueFd> found;
    for (const DirectoryEntry& entry : entries) {
      UniqueFd pidfd = Match(entry.name, variable);
      if (pidfd.ok() && kernel::SignalProcess(pidfd.get(), SIGKILL).ok() &&
          !HasEnded(pidfd.get(), Deadline())) {
        found.push_back(std::move(pidfd));
      }
    }
    if (found.empty()) {
      return absl::OkStatus();
    }
    for (const UniqueFd& pidfd : found) {
      while (!HasEnded(pidfd.get(), deadline)) {
        if (deadline.passed()) {
          return absl::DeadlineExceededError(
              absl::StrCat("end earlier network plugins of pod ", pod_id,
                           ": the kernel doesn't let them go"));
        }
      }
    }
  }
}

}  // namespace caisson::network
