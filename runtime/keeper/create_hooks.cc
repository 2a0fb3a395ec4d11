#include "runtime/keeper/create_hooks.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/status.h"
#include "runtime/device/hook.h"
#include "runtime/device/hook_message.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/host_mounts.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/mount_table.h"
#include "runtime/kernel/path.h"
#include "runtime/kernel/process.h"
#include "runtime/rootfs/adopt.h"

namespace caisson::keeper {
namespace {

// The kernel's filesystems in the root while hooks run.  The container's own
// come later; what hooks mount on these is put on them.
constexpr const char* kLent[] = {"proc", "sys"};

// Every hook of a plan names its own.
constexpr absl::Duration kTimeoutOfThePlan = absl::ZeroDuration();

// What hooks mounted below a filesystem that was lent.
struct FoundMount {
  std::string target;  // in the container
  UniqueFd tree;
};

// What the process of the hooks works with.
struct Lent {
  const v1::ContainerPlan& plan;
  const Pod& pod;
  UniqueFd root;
  UniqueFd channel;
  // Where it is, as the table of mounts has it.
  std::string rootfs;
};

absl::Status EnterNamespaces(const Pod& pod) {
  RETURN_IF_ERROR(EnterHostMounts());
  RETURN_IF_ERROR(kernel::UnshareMounts(MS_PRIVATE));
  using kernel::Namespace;
  const std::pair<const UniqueFd&, Namespace> kinds[] = {
      {pod.network, Namespace::kNetwork},
      {pod.ipc, Namespace::kIpc},
      {pod.uts, Namespace::kUts}};
  for (const auto& [fd, kind] : kinds) {
    if (fd.ok()) {
      RETURN_IF_ERROR(kernel::EnterNamespace(fd.get(), kind));
    }
  }
  return absl::OkStatus();
}

absl::Status AttachRoot(Lent& lent) {
  const std::string path = lent.plan.home_directory() + "/rootfs";
  char real[PATH_MAX];
  if (realpath(path.c_str(), real) == nullptr) {
    return ErrnoError("find", path);
  }
  lent.rootfs = real;
  const UniqueFd point(
      open(lent.rootfs.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!point.ok()) {
    return ErrnoError("open", lent.rootfs);
  }
  RETURN_IF_ERROR(kernel::AttachMount(lent.root.get(), point.get()));
  for (const char* name : kLent) {
    ASSIGN_OR_RETURN(
        const UniqueFd tree,
        kernel::CloneTree(AT_FDCWD, absl::StrCat("/", name).c_str(), false));
    kernel::MountAttributes attributes;
    attributes.propagation = MS_PRIVATE;
    RETURN_IF_ERROR(kernel::SetMountAttributes(tree.get(), attributes));
    ASSIGN_OR_RETURN(
        const UniqueFd target,
        kernel::OpenInRoot(lent.root.get(), name, O_PATH | O_DIRECTORY));
    RETURN_IF_ERROR(kernel::AttachMount(tree.get(), target.get()));
  }
  return absl::OkStatus();
}

// Takes a lent filesystem back, and what stands on it.
absl::Status TakeBack(const Lent& lent, const char* name,
                      std::vector<FoundMount>& found) {
  ASSIGN_OR_RETURN(
      const UniqueFd top,
      kernel::OpenInRoot(lent.root.get(), name, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const uint64_t id, kernel::MountIdOf(top.get()));
  ASSIGN_OR_RETURN(const std::vector<kernel::MountEntry> table,
                   kernel::ReadMountTable());
  for (const kernel::MountEntry& entry : table) {
    absl::string_view target = entry.mount_point;
    if (entry.parent != id || !absl::ConsumePrefix(&target, lent.rootfs)) {
      continue;
    }
    ASSIGN_OR_RETURN(
        UniqueFd tree,
        kernel::CloneTree(AT_FDCWD, entry.mount_point.c_str(), true));
    found.push_back({std::string(target), std::move(tree)});
  }
  // What is shared would go where it is shared with as well.
  kernel::MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  attributes.recursive = true;
  RETURN_IF_ERROR(kernel::SetMountAttributes(top.get(), attributes));
  if (fchdir(top.get()) != 0 || umount2(".", MNT_DETACH) != 0 ||
      chdir("/") != 0) {
    return ErrnoError("unmount", name);
  }
  return absl::OkStatus();
}

absl::Status AdoptFiles(const Lent& lent) {
  if (!lent.pod.has_user_namespace()) {
    return absl::OkStatus();
  }
  const auto to_host = [](const auto& map, uint32_t id) {
    for (const v1::IdExtent& extent : map) {
      if (id - extent.host_id() < extent.length()) {
        return id;
      }
    }
    return HostId(map, id);
  };
  return rootfs::AdoptFiles(lent.plan.home_directory() + "/upper",
                            lent.root.get(), [&](const kernel::Owner& owner) {
                              return kernel::Owner{
                                  to_host(lent.pod.uids, owner.uid),
                                  to_host(lent.pod.gids, owner.gid)};
                            });
}

absl::Status ReturnRoot(const Lent& lent, std::vector<FoundMount> mounts) {
  ASSIGN_OR_RETURN(const UniqueFd root,
                   kernel::CloneTreeAt(lent.root.get(), true));
  v1::ChildMessage message;
  message.set_root_fd(1);
  std::vector<int> fds = {root.get()};
  for (const FoundMount& mount : mounts) {
    message.add_hook_mounts(mount.target);
    fds.push_back(mount.tree.get());
  }
  return SendMessage(lent.channel.get(), message, fds);
}

absl::Status RunHooks(Lent& lent) {
  // In namespaces of the pod with the ids of the host's root.
  RETURN_IF_ERROR(kernel::ForbidDumping());
  RETURN_IF_ERROR(EnterNamespaces(lent.pod));
  // The keeper's others: the end of each tells somebody that it is gone.
  RETURN_IF_ERROR(kernel::CloseAllBut({lent.root.get(), lent.channel.get()}));
  RETURN_IF_ERROR(AttachRoot(lent));
  for (const v1::Hook& hook : lent.plan.create_hooks()) {
    RETURN_IF_ERROR(device::RunHook(
        device::FromMessage(hook), lent.plan.create_hook_state(),
        kTimeoutOfThePlan, Deadline::Never(), kernel::DieWithParent));
  }
  std::vector<FoundMount> mounts;
  for (const char* name : kLent) {
    RETURN_IF_ERROR(TakeBack(lent, name, mounts));
  }
  RETURN_IF_ERROR(AdoptFiles(lent));
  return ReturnRoot(lent, std::move(mounts));
}

[[noreturn]] void BecomeRunner(Lent& lent) {
  // Nothing of a creation outlives who wanted it, the keeper's end included.
  absl::Status status = kernel::DieWithParent();
  if (status.ok()) {
    status = RunHooks(lent);
  }
  if (status.ok()) {
    _exit(0);
  }
  v1::ChildMessage message;
  *message.mutable_error() = ToError(status, "");
  // The keeper sees the end of the channel if this fails.
  [[maybe_unused]] const absl::Status sent =
      SendMessage(lent.channel.get(), message, {});
  _exit(1);
}

}  // namespace

// The process of the hooks as the keeper sees it.
struct HookRun {
  explicit HookRun(Reaper& owner) : reaper(owner) {}

  // Not killed: it ends its hook when that has had its time, and then itself,
  // for nobody hears it any more.  Without it the hook would have no end.
  ~HookRun() { reaper.Leave(std::move(pidfd)); }

  Reaper& reaper;
  UniqueFd pidfd;
  ChildChannel channel;
  bool answered = false;
};

namespace {

absl::Status ForkRunner(CreateContext& context) {
  UniqueFd root = std::move(context.report.root);
  context.report = ChildReport();
  if (!root.ok()) {
    return absl::InternalError("the child has lent no root");
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  auto run = std::make_shared<HookRun>(context.reaper);
  run->channel.fd.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork({}));
  if (forked.pid == 0) {
    Lent lent{context.plan, context.pod, std::move(root), std::move(theirs),
              ""};
    BecomeRunner(lent);
  }
  run->pidfd = std::move(forked.pidfd);
  context.hooks = std::move(run);
  return absl::OkStatus();
}

// The answer of the process of the hooks, for the child.
StepResult AwaitRunner(CreateContext& context) {
  HookRun& run = *context.hooks;
  absl::StatusOr<std::optional<ReceivedMessage>> received =
      run.channel.Receive();
  if (absl::IsOutOfRange(received.status())) {
    return absl::AbortedError("the process that runs hooks was killed");
  }
  RETURN_IF_ERROR(received.status());
  if (!received->has_value()) {
    return StepResult::WhenReadable(run.channel.fd.get());
  }
  if ((*received)->message.has_error()) {
    return ToStatus((*received)->message.error());
  }
  run.answered = true;
  return context.container->channel.Add((*received)->message,
                                        std::move((*received)->fds));
}

}  // namespace

StepResult RunCreateHooks(CreateContext& context) {
  if (context.plan.create_hooks().empty()) {
    return absl::OkStatus();
  }
  ChildChannel& channel = context.container->channel;
  if (context.hooks == nullptr) {
    StepResult result =
        AwaitReport(channel, context.report, context.failed, ChildEnded());
    if (!result.ok()) {
      return result;
    }
    RETURN_IF_ERROR(ForkRunner(context));
  }
  if (!context.hooks->answered) {
    StepResult result = AwaitRunner(context);
    if (!result.ok()) {
      return result;
    }
  }
  StepResult reaped = AwaitEnd(context.hooks->pidfd, context.reaper);
  if (!reaped.ok()) {
    return reaped;
  }
  ASSIGN_OR_RETURN(const bool sent, channel.writer.Write(channel.fd.get()));
  if (!sent) {
    return StepResult::WhenWritable(channel.fd.get());
  }
  context.hooks.reset();
  return absl::OkStatus();
}

}  // namespace caisson::keeper
