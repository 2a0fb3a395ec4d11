#include <sys/mount.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/device/hook.h"
#include "runtime/device/hook_message.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/stage.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/process.h"

namespace caisson::keeper::steps {
namespace {

absl::StatusOr<ReceivedMessage> Exchange(ChildContext& context) {
  ASSIGN_OR_RETURN(const UniqueFd tree,
                   kernel::CloneTreeAt(context.root.get(), true));
  v1::ChildMessage message;
  message.set_root_fd(1);
  RETURN_IF_ERROR(SendMessage(context.channel, message, {tree.get()}));
  ASSIGN_OR_RETURN(ReceivedMessage received, ReceiveMessage(context.channel));
  if (received.message.root_fd() != 1 ||
      received.fds.size() !=
          1 + static_cast<size_t>(received.message.hook_mounts_size())) {
    return absl::InternalError("read hooks' answer: malformed");
  }
  return received;
}

absl::Status ReplaceRoot(ChildContext& context, UniqueFd root) {
  // The clone that the hooks had holds what is shared with the host: this one
  // must not take along what the host has mounted there.
  kernel::MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  attributes.recursive = true;
  RETURN_IF_ERROR(kernel::SetMountAttributes(context.root.get(), attributes));
  const std::string path = absl::StrCat("/", kStageRoot);
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    return ErrnoError("unmount", "root");
  }
  context.root = std::move(root);
  return kernel::AttachMountAt(context.root.get(), AT_FDCWD, path.c_str());
}

// Attached in the stage until /proc and /sys are there, so that the copy of
// the mount namespace locks their flags too.
absl::Status KeepMount(ChildContext& context, std::string target,
                       const UniqueFd& tree) {
  ASSIGN_OR_RETURN(const bool directory, kernel::IsDirectory(tree.get()));
  const std::string path =
      absl::StrCat("/", directory ? kStageHookDirectory : kStageHookFile,
                   context.hook_mounts.size());
  RETURN_IF_ERROR(MakeStagePoint(path, directory));
  RETURN_IF_ERROR(kernel::AttachMountAt(tree.get(), AT_FDCWD, path.c_str()));
  context.hook_mounts.push_back({path, std::move(target)});
  return absl::OkStatus();
}

}  // namespace

absl::Status LendRootToHooks(ChildContext& context) {
  if (context.plan->create_hooks().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(ReceivedMessage received, Exchange(context));
  RETURN_IF_ERROR(ReplaceRoot(context, std::move(received.fds[0])));
  for (int i = 0; i < received.message.hook_mounts_size(); ++i) {
    RETURN_IF_ERROR(KeepMount(context, received.message.hook_mounts(i),
                              received.fds[static_cast<size_t>(i) + 1]));
  }
  return absl::OkStatus();
}

absl::Status RunStartHooks(ChildContext& context) {
  if (context.plan->start_hooks().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const ReceivedMessage received,
                   ReceiveMessage(context.channel));
  RETURN_IF_ERROR(PrepareSeccomp(context));
  for (const v1::Hook& hook : context.plan->start_hooks()) {
    // Every hook of a plan names its own timeout.
    RETURN_IF_ERROR(device::RunHook(
        device::FromMessage(hook), received.message.hook_state(),
        absl::ZeroDuration(), [&] { return LoadSeccomp(context); }));
  }
  // Whatever running them has opened: closed, not marked.
  return kernel::CloseAllBut({context.channel});
}

}  // namespace caisson::keeper::steps
