#include "tests/bench/processes.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::bench {
namespace {

constexpr double kKilobytesPerMegabyte = 1e6 / 1024;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string CommandLine(pid_t pid) {
  std::string text = ReadText(absl::StrCat("/proc/", pid, "/cmdline"));
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::string Executable(pid_t pid) {
  char path[4096];
  const ssize_t size = ::readlink(absl::StrCat("/proc/", pid, "/exe").c_str(),
                                  path, sizeof(path));
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : "";
}

}  // namespace

bool Matches(absl::string_view pattern, absl::string_view text) {
  for (const absl::string_view part : absl::StrSplit(pattern, '|')) {
    if (!part.empty() && absl::StrContains(text, part)) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<double> KilobyteLine(absl::string_view text,
                                    absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    double kilobytes = 0;
    if (absl::ConsumePrefix(&line, key) && absl::ConsumePrefix(&line, ":") &&
        absl::ConsumeSuffix(&line, "kB") &&
        absl::SimpleAtod(line, &kilobytes)) {
      return kilobytes / kKilobytesPerMegabyte;
    }
  }
  return absl::NotFoundError(absl::StrCat("read ", key, ": no such line"));
}

absl::StatusOr<double> ProportionalMegabytes(const std::string& pattern) {
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) {
    return ErrnoError("open", "/proc");
  }
  double sum = 0;
  for (dirent* entry = ::readdir(directory); entry != nullptr;
       entry = ::readdir(directory)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid == ::getpid() ||
        (!Matches(pattern, Executable(pid)) &&
         !Matches(pattern, CommandLine(pid)))) {
      continue;
    }
    // A process that has just ended has none.
    sum += KilobyteLine(ReadText(absl::StrCat("/proc/", pid, "/smaps_rollup")),
                        "Pss")
               .value_or(0);
  }
  ::closedir(directory);
  return sum;
}

absl::StatusOr<double> ResidentMegabytes(pid_t pid) {
  return KilobyteLine(ReadText(absl::StrCat("/proc/", pid, "/status")),
                      "VmRSS");
}

absl::StatusOr<pid_t> ListenerOf(const std::string& endpoint) {
  const std::string path(absl::StripPrefix(endpoint, "unix://"));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("connect ", path, ": name too long"));
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0) {
    return ErrnoError("connect", path);
  }
  // Of the process that called listen(2).
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoError("read peer of", path);
  }
  return peer.pid;
}

}  // namespace caisson::bench
