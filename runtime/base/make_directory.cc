#include "runtime/base/make_directory.h"

#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/status.h"

namespace caisson {

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  struct stat facts = {};
  // Some filesystems say that they are read-only before they look.
  if (stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)) {
    return absl::OkStatus();
  }
  errno = error;
  return ErrnoError("create directory", path);
}

absl::Status MakeParents(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    RETURN_IF_ERROR(MakeDirectory(path.substr(0, slash), mode));
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  RETURN_IF_ERROR(MakeParents(path, mode));
  return MakeDirectory(path, mode);
}

}  // namespace caisson
