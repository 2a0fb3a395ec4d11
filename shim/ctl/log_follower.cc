#include "shim/ctl/log_follower.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/string_view.h"
#include "runtime/base/status.h"
#include "runtime/base/write_all.h"
#include "shim/ctl/log_line.h"

namespace caisson::ctl {
namespace {

constexpr size_t kBlock = 256 << 10;

}  // namespace

LogFollower::LogFollower(std::string path, int stdout_fd, int stderr_fd)
    : path_(std::move(path)), stdout_fd_(stdout_fd), stderr_fd_(stderr_fd) {}

absl::Status LogFollower::Drain() {
  if (!log_.ok()) {
    log_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!log_.ok()) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", path_);
    }
  }
  while (true) {
    const size_t old_size = pending_.size();
    pending_.resize(old_size + kBlock);
    const ssize_t got = ::read(log_.get(), pending_.data() + old_size, kBlock);
    pending_.resize(old_size + static_cast<size_t>(got > 0 ? got : 0));
    if (got == 0) {
      return absl::OkStatus();
    }
    if (got < 0 && errno != EINTR) {
      return ErrnoError("read", path_);
    }
    RETURN_IF_ERROR(CopyLines());
  }
}

absl::Status LogFollower::CopyLines() {
  std::string out;
  std::string err;
  absl::string_view rest = pending_;
  for (size_t end = rest.find('\n'); end != absl::string_view::npos;
       end = rest.find('\n')) {
    ASSIGN_OR_RETURN(const LogLine line, ParseLogLine(rest.substr(0, end)));
    std::string& stream = line.is_stderr ? err : out;
    stream.append(line.text.data(), line.text.size());
    if (!line.partial) {
      stream.push_back('\n');
    }
    rest.remove_prefix(end + 1);
  }
  pending_.erase(0, pending_.size() - rest.size());
  RETURN_IF_ERROR(WriteAll(stdout_fd_, out, "output"));
  return WriteAll(stderr_fd_, err, "output");
}

}  // namespace caisson::ctl
