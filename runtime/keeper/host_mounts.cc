#include "runtime/keeper/host_mounts.h"

#include <fcntl.h>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

UniqueFd& Held() {
  static UniqueFd fd;
  return fd;
}

}  // namespace

absl::Status HoldHostMounts() {
  Held().reset(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  return Held().ok() ? absl::OkStatus() : ErrnoError("open", "mount namespace");
}

absl::Status EnterHostMounts() {
  return kernel::EnterNamespace(Held().get(), kernel::Namespace::kMount);
}

}  // namespace caisson::keeper
