#include "runtime/mount/hide.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"

namespace caisson::mount {
namespace {

constexpr uint64_t kHardened = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                               MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

}  // namespace

absl::StatusOr<UniqueFd> Masker::NullDevice() {
  ASSIGN_OR_RETURN(UniqueFd null,
                   kernel::OpenInRoot(root_, "/dev/null", O_PATH));
  struct stat facts = {};
  if (fstat(null.get(), &facts) != 0) {
    return ErrnoError("stat", "/dev/null");
  }
  if (!S_ISCHR(facts.st_mode) || facts.st_rdev != makedev(1, 3)) {
    return absl::FailedPreconditionError(
        "check /dev/null: not the null device");
  }
  return kernel::CloneTreeAt(null.get(), false);
}

absl::StatusOr<UniqueFd> Masker::EmptyDirectory() {
  if (empty_.ok()) {
    return kernel::CloneTreeAt(empty_.get(), false);
  }
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("nr_inodes", "2"));
  RETURN_IF_ERROR(tmpfs.Set("nr_blocks", "1"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "555"));
  return tmpfs.Mount(kHardened);
}

absl::Status Masker::Mask(absl::string_view path) {
  absl::StatusOr<UniqueFd> target = kernel::OpenInRoot(root_, path, O_PATH);
  if (absl::IsNotFound(target.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(target.status());
  ASSIGN_OR_RETURN(const bool directory, kernel::IsDirectory(target->get()));
  ASSIGN_OR_RETURN(UniqueFd cover, directory ? EmptyDirectory() : NullDevice());
  RETURN_IF_ERROR(
      Annotate(kernel::AttachMount(cover.get(), target->get()), path));
  if (directory && !empty_.ok()) {
    empty_ = std::move(cover);
  }
  return absl::OkStatus();
}

absl::Status MakeReadOnly(int root, absl::string_view path) {
  absl::StatusOr<UniqueFd> target = kernel::OpenInRoot(root, path, O_PATH);
  if (absl::IsNotFound(target.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(target.status());
  ASSIGN_OR_RETURN(UniqueFd tree, kernel::CloneTreeAt(target->get(), true));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  attributes.recursive = true;
  RETURN_IF_ERROR(
      Annotate(kernel::SetMountAttributes(tree.get(), attributes), path));
  return Annotate(kernel::AttachMount(tree.get(), target->get()), path);
}

}  // namespace caisson::mount
