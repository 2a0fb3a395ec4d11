#include "shim/daemon/directories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::daemon {
namespace {

absl::Status MakeDirectory(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    // Parents are the machine's: they may be entered.
    mkdir(path.substr(0, slash).c_str(), 0755);
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  return absl::OkStatus();
}

// The lowest layer of every container: mount points that few images have.  An
// overlay that has to make them copies /etc up first, 0.25 ms in all.
absl::Status MakeBaseLayer(const std::string& base) {
  RETURN_IF_ERROR(MakeDirectory(base));
  for (const char* name : {"/dev", "/etc", "/proc", "/sys"}) {
    const std::string path = base + name;
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError("create directory", path);
    }
  }
  for (const char* name : {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}) {
    const std::string path = base + name;
    const UniqueFd file(
        open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file.ok()) {
      return ErrnoError("create", path);
    }
  }
  return chmod(base.c_str(), 0755) == 0 ? absl::OkStatus()
                                        : ErrnoError("change mode of", base);
}

}  // namespace

absl::Status MakeDirectories(const config::Config& config,
                             const ops::Paths& paths) {
  for (const std::string& path :
       {config.root, paths.ContainersDirectory(), config.state,
        paths.PodsDirectory(), paths.KeepersDirectory(),
        paths.PinsDirectory()}) {
    RETURN_IF_ERROR(MakeDirectory(path));
  }
  return MakeBaseLayer(paths.BaseLayer());
}

}  // namespace caisson::daemon
