#include "runtime/base/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {
namespace {

absl::Status Visit(
    UniqueFd fd, absl::string_view path,
    absl::FunctionRef<absl::Status(const DirectoryEntry& entry)> visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(
      fd.ok() ? fdopendir(fd.get()) : nullptr, closedir);
  if (stream == nullptr) {
    return ErrnoError("list", path);
  }
  // It is the stream's now.
  static_cast<void>(fd.release());
  errno = 0;
  while (const dirent* each = readdir(stream.get())) {
    const absl::string_view name = each->d_name;
    if (name != "." && name != "..") {
      RETURN_IF_ERROR(visit({std::string(name), each->d_type}));
    }
    errno = 0;
  }
  return errno == 0 ? absl::OkStatus() : ErrnoError("list", path);
}

}  // namespace

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectory(
    const std::string& path) {
  std::vector<DirectoryEntry> entries;
  RETURN_IF_ERROR(
      Visit(UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
            path, [&](const DirectoryEntry& entry) {
              entries.push_back(entry);
              return absl::OkStatus();
            }));
  return entries;
}

absl::Status VisitDirectory(
    int directory,
    absl::FunctionRef<absl::Status(const DirectoryEntry& entry)> visit) {
  return Visit(
      UniqueFd(openat(directory, ".",
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
      "directory", visit);
}

}  // namespace caisson
