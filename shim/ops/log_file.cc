#include "shim/ops/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::ops {
namespace {

absl::Status MakeParents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError("create directory", parent);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> OpenLogFile(const std::string& path) {
  constexpr int kFlags =
      O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  UniqueFd log(open(path.c_str(), kFlags, 0640));
  if (!log.ok() && errno == ENOENT) {
    RETURN_IF_ERROR(MakeParents(path));
    log.reset(open(path.c_str(), kFlags, 0640));
  }
  if (!log.ok()) {
    return ErrnoError("open log", path);
  }
  struct stat facts = {};
  if (fstat(log.get(), &facts) != 0 || !S_ISREG(facts.st_mode) ||
      facts.st_nlink != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("open log ", path, ": not a regular file of one name"));
  }
  return log;
}

}  // namespace caisson::ops
