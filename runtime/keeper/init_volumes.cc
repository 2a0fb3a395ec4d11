#include "runtime/keeper/init_volumes.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"

namespace caisson::keeper::steps {
namespace {

bool IsInKernelFilesystem(const std::string& target) {
  return target == "/sys" || absl::StartsWith(target, "/sys/") ||
         target == "/proc" || absl::StartsWith(target, "/proc/");
}

// Parents are lifted first, with all that is mounted below them.
bool ComesAlong(const std::string& target,
                const std::vector<LiftedVolume>& lifted) {
  return std::any_of(
      lifted.begin(), lifted.end(), [&](const LiftedVolume& above) {
        return absl::StartsWith(target, absl::StrCat(above.target, "/"));
      });
}

absl::StatusOr<UniqueFd> OpenTarget(const ChildContext& context,
                                    const std::string& target) {
  return kernel::OpenInRoot(context.root.get(), target, O_PATH);
}

absl::Status CheckVolume(const ChildContext& context, const std::string& target,
                         const FileId& volume) {
  const absl::StatusOr<UniqueFd> seen = OpenTarget(context, target);
  if (absl::IsPermissionDenied(seen.status())) {
    // Not even the container's root gets there.
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(seen.status());
  ASSIGN_OR_RETURN(const FileId id, Identify(seen->get()));
  return id == volume
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat(
                   "check mount at ", target,
                   ": it is not what this path leads to in the container"));
}

}  // namespace

absl::StatusOr<FileId> Identify(int fd) {
  struct stat facts = {};
  if (fstat(fd, &facts) != 0) {
    return ErrnoError("stat", "mount");
  }
  return FileId{facts.st_dev, facts.st_ino};
}

absl::StatusOr<std::vector<LiftedVolume>> LiftVolumes(
    const ChildContext& context) {
  std::vector<LiftedVolume> lifted;
  kernel::MountAttributes apart;
  apart.propagation = MS_PRIVATE;
  apart.recursive = true;
  for (const v1::Mount& mount : context.plan->mounts()) {
    if (!IsInKernelFilesystem(mount.target()) ||
        ComesAlong(mount.target(), lifted)) {
      continue;
    }
    ASSIGN_OR_RETURN(const UniqueFd found, OpenTarget(context, mount.target()));
    ASSIGN_OR_RETURN(UniqueFd tree, kernel::CloneTreeAt(found.get(), true));
    // What comes over it here would come over the host's as well.
    RETURN_IF_ERROR(Annotate(kernel::SetMountAttributes(found.get(), apart),
                             mount.target()));
    lifted.push_back({std::move(tree), mount.target()});
  }
  for (const HookMount& mount : context.hook_mounts) {
    ASSIGN_OR_RETURN(
        UniqueFd tree,
        kernel::CloneTree(AT_FDCWD, mount.stage_path.c_str(), true));
    lifted.push_back({std::move(tree), mount.target});
  }
  return lifted;
}

absl::Status PutBackVolumes(const ChildContext& context,
                            const std::vector<LiftedVolume>& lifted) {
  for (const LiftedVolume& volume : lifted) {
    ASSIGN_OR_RETURN(const UniqueFd target, OpenTarget(context, volume.target));
    RETURN_IF_ERROR(Annotate(
        kernel::AttachMount(volume.tree.get(), target.get()), volume.target));
  }
  return absl::OkStatus();
}

absl::Status CheckVolumes(ChildContext& context) {
  for (const auto& [index, volume] : context.volumes) {
    RETURN_IF_ERROR(
        CheckVolume(context, context.plan->mounts(index).target(), volume));
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper::steps
