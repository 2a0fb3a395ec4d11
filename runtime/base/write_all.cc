#include "runtime/base/write_all.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {

absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view name) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return ErrnoError("write", name);
    }
  }
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes,
                       mode_t mode) {
  const UniqueFd file(open(
      path.c_str(),
      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode));
  if (!file.ok()) {
    return ErrnoError("write", path);
  }
  return WriteAll(file.get(), bytes, path);
}

}  // namespace caisson
