#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "shim/ctl/log_line.h"
#include "tests/bench/parts.h"

namespace caisson::bench {
namespace {

constexpr double kBytesPerMegabyte = 1e6;
constexpr absl::Duration kLongestRun = absl::Minutes(5);

absl::Status CountLines(absl::string_view& rest, double& bytes) {
  for (size_t end = rest.find('\n'); end != absl::string_view::npos;
       end = rest.find('\n')) {
    ASSIGN_OR_RETURN(const ctl::LogLine line,
                     ctl::ParseLogLine(rest.substr(0, end)));
    bytes += static_cast<double>(line.text.size() + (line.partial ? 0 : 1));
    rest.remove_prefix(end + 1);
  }
  return absl::OkStatus();
}

// Bytes that the container printed, without the log's own.
absl::StatusOr<double> Payload(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  double bytes = 0;
  std::string pending;
  std::vector<char> block(1 << 20);
  while (true) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0 && errno != EINTR) {
      return ErrnoError("read", path);
    }
    if (got == 0) {
      return bytes;
    }
    pending.append(block.data(), static_cast<size_t>(got > 0 ? got : 0));
    absl::string_view rest = pending;
    RETURN_IF_ERROR(CountLines(rest, bytes));
    pending.erase(0, pending.size() - rest.size());
  }
}

absl::Status AwaitExit(Peer& peer, const std::string& id) {
  const absl::Time deadline = absl::Now() + kLongestRun;
  while (absl::Now() < deadline) {
    ASSIGN_OR_RETURN(const cri::ContainerStatus status, peer.Status(id));
    if (status.state() == cri::CONTAINER_EXITED) {
      return status.exit_code() == 0
                 ? absl::OkStatus()
                 : absl::InternalError(
                       absl::StrCat("print: exit code ", status.exit_code()));
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  return absl::DeadlineExceededError("print: the container doesn't end");
}

}  // namespace

absl::Status MeasureLog(Peer& peer, const Options& options) {
  ASSIGN_OR_RETURN(const Pod pod, peer.RunPod(true));
  ASSIGN_OR_RETURN(const std::string id,
                   peer.CreateContainer(pod, options.log_command));
  const double start = SecondsNow();
  RETURN_IF_ERROR(peer.StartContainer(id));
  RETURN_IF_ERROR(AwaitExit(peer, id));
  const double seconds = SecondsNow() - start;
  const std::string path = absl::StrCat(peer.log_directory(), "/",
                                        pod.config.metadata().name(), ".log");
  ASSIGN_OR_RETURN(const double bytes, Payload(path));
  peer.results["log"].push_back(bytes / kBytesPerMegabyte / seconds);
  RETURN_IF_ERROR(peer.StopPod(pod.id));
  RETURN_IF_ERROR(peer.RemovePod(pod.id));
  // Removal of the container may have taken it already.
  ::unlink(path.c_str());
  return absl::OkStatus();
}

}  // namespace caisson::bench
