#include "runtime/base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {

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
  // Its size may change meanwhile, and is 0 in /proc.
  std::string text(most + 1, '\0');
  size_t length = 0;
  ssize_t got = 0;
  do {
    got = read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno != EINTR) {
      return ErrnoError("read", path);
    }
    length += static_cast<size_t>(got < 0 ? 0 : got);
  } while (got != 0 && length < text.size());
  if (length > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", path, ": longer than ", most, " bytes"));
  }
  text.resize(length);
  return text;
}

}  // namespace caisson
