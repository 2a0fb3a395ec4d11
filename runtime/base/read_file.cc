#include "runtime/base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {
namespace {

// Of cgroupfs and procfs, nearly all fit.
constexpr size_t kFirst = 4096;

}  // namespace

absl::StatusOr<std::string> ReadToEnd(int fd, size_t most,
                                      absl::string_view name) {
  std::string text;
  size_t length = 0;
  for (;;) {
    if (length == text.size()) {
      // One more than allowed, to see that there is more.
      text.resize(std::min(std::max(2 * length, kFirst), most + 1));
    }
    const ssize_t got = read(fd, text.data() + length, text.size() - length);
    if (got < 0 && errno != EINTR) {
      return ErrnoError("read", name);
    }
    if (got == 0) {
      text.resize(length);
      return text;
    }
    length += static_cast<size_t>(std::max<ssize_t>(got, 0));
    if (length > most) {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", name, ": longer than ", most, " bytes"));
    }
  }
}

absl::StatusOr<std::string> ReadRegularFile(const std::string& path,
                                            size_t most) {
  // Without O_NONBLOCK the open of a pipe waits for a writer.
  const UniqueFd file(
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat facts = {};
  if (!file.ok() || fstat(file.get(), &facts) != 0) {
    return ErrnoError("read", path);
  }
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": not a regular file"));
  }
  return ReadToEnd(file.get(), most, path);
}

}  // namespace caisson
