#include "runtime/keeper/stage.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper {
namespace {

constexpr uint64_t kHardened =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// What the builder says when it has succeeded; else it says what failed.
constexpr absl::string_view kBuilt = "built";

UniqueFd& Held() {
  static UniqueFd fd;
  return fd;
}

// A clone of the host's instance without what is mounted on it: that would
// make it less than fully visible.
absl::Status AddInstance(int stage, const char* path, uint64_t attributes) {
  const char* name = path + 1;
  ASSIGN_OR_RETURN(UniqueFd clone, kernel::CloneTree(AT_FDCWD, path, false));
  kernel::MountAttributes flags;
  flags.set = attributes;
  flags.propagation = MS_PRIVATE;
  RETURN_IF_ERROR(kernel::SetMountAttributes(clone.get(), flags));
  if (mkdirat(stage, name, 0555) != 0) {
    return ErrnoError("create directory", name);
  }
  return kernel::AttachMountAt(clone.get(), stage, name);
}

absl::Status BuildStage() {
  RETURN_IF_ERROR(kernel::UnshareMounts(MS_PRIVATE));
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "711"));
  ASSIGN_OR_RETURN(const UniqueFd stage, tmpfs.Mount(kHardened));
  const UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) {
    return ErrnoError("open", "/");
  }
  RETURN_IF_ERROR(kernel::AttachMount(stage.get(), root.get()));
  for (const char* name : {kStageRoot, kStageHome}) {
    if (mkdirat(stage.get(), name, 0755) != 0) {
      return ErrnoError("create directory", name);
    }
  }
  RETURN_IF_ERROR(AddInstance(stage.get(), "/proc", kHardened));
  RETURN_IF_ERROR(
      AddInstance(stage.get(), "/sys", kHardened | MOUNT_ATTR_RDONLY));
  if (fchdir(stage.get()) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      umount2(".", MNT_DETACH) != 0) {
    return ErrnoError("change root to", "stage");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeStagePoint(const std::string& path, bool directory) {
  const int made = directory ? mkdir(path.c_str(), 0711)
                             : mknod(path.c_str(), S_IFREG | 0600, 0);
  return made == 0 || errno == EEXIST ? absl::OkStatus()
                                      : ErrnoError("create mount point", path);
}

absl::Status HoldStage() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  UniqueFd wait(ends[0]);
  UniqueFd release(ends[1]);
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork({}));
  if (forked.pid == 0) {
    const absl::Status built = BuildStage();
    const std::string said(built.ok() ? kBuilt : built.message());
    if (write(release.get(), said.data(), said.size()) >= 0 && built.ok()) {
      pause();  // until killed: the namespace is held then
    }
    _exit(1);
  }
  release.reset();
  char text[512];
  const ssize_t length = read(wait.get(), text, sizeof(text));
  const absl::string_view said(text,
                               length > 0 ? static_cast<size_t>(length) : 0);
  absl::Status status;
  if (said == kBuilt) {
    absl::StatusOr<UniqueFd> fd =
        kernel::OpenNamespace(forked.pidfd.get(), kernel::Namespace::kMount);
    status = fd.status();
    if (fd.ok()) {
      Held() = std::move(fd).value();
    }
  } else {
    status = absl::InternalError(absl::StrCat("build stage: ", said));
  }
  status.Update(kernel::SignalProcess(forked.pidfd.get(), SIGKILL));
  status.Update(kernel::Reap(forked.pidfd.get(), true).status());
  return status;
}

absl::Status EnterStageCopy() {
  RETURN_IF_ERROR(
      kernel::EnterNamespace(Held().get(), kernel::Namespace::kMount));
  if (unshare(CLONE_NEWNS) != 0) {
    return ErrnoError("make", "mount namespace");
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper
