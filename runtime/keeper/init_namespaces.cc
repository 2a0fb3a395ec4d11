#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/keeper/child.h"
#include "runtime/keeper/child_message.h"
#include "runtime/kernel/credentials.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/procfs.h"

namespace caisson::keeper::steps {

using kernel::EnterNamespace;
using kernel::Namespace;

absl::Status EnterControllers(ChildContext& context) {
  for (const int tasks : context.tasks) {
    // "0" means the writer, and is quick: no other process need be locked.
    if (write(tasks, "0", 1) != 1) {
      return ErrnoError("enter", "cgroup");
    }
  }
  return absl::OkStatus();
}

absl::Status SetRlimits(ChildContext& context) {
  for (const v1::Rlimit& wanted : context.process.rlimits()) {
    const auto resource = static_cast<__rlimit_resource>(wanted.resource());
    rlimit limit = {wanted.soft(), wanted.hard()};
    if (setrlimit(resource, &limit) == 0) {
      continue;
    }
    rlimit now = {};
    if (errno != EPERM || getrlimit(resource, &now) != 0) {
      return ErrnoError("set rlimit", absl::StrCat(wanted.resource()));
    }
    // Without CAP_SYS_RESOURCE on this machine: as high as allowed.
    limit.rlim_max = std::min(limit.rlim_max, now.rlim_max);
    limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
    if (setrlimit(resource, &limit) != 0) {
      return ErrnoError("set rlimit", absl::StrCat(wanted.resource()));
    }
  }
  return absl::OkStatus();
}

absl::Status SetOomScore(ChildContext& context) {
  constexpr char kPath[] = "self/oom_score_adj";
  ASSIGN_OR_RETURN(const UniqueFd file, kernel::OpenProcFile(kPath, O_WRONLY));
  const std::string text = absl::StrCat(context.process.oom_score_adj());
  // EACCES: lower than ours needs CAP_SYS_RESOURCE, which not every machine
  // gives us; a pod is not refused for it.
  if (write(file.get(), text.data(), text.size()) < 0 && errno != EACCES) {
    return ErrnoError("write", kPath);
  }
  return absl::OkStatus();
}

absl::Status ForbidTracing(ChildContext& /*context*/) {
  return kernel::ForbidDumping();
}

absl::Status EnterPodNamespaces(ChildContext& context) {
  const Pod& pod = context.pod;
  if (pod.user.ok()) {
    // Not as host root: the pod's root may trace whoever enters with ids that
    // it does not know of (CVE-2015-8709).  As the owner of the namespace we
    // may still enter it.
    RETURN_IF_ERROR(kernel::SetIds(pod.root.uid, pod.root.gid, {}));
    RETURN_IF_ERROR(EnterNamespace(pod.user.get(), Namespace::kUser));
    RETURN_IF_ERROR(kernel::ForbidDumping());
    RETURN_IF_ERROR(kernel::SetIds(0, 0, {}));
  }
  if (pod.network.ok()) {
    RETURN_IF_ERROR(EnterNamespace(pod.network.get(), Namespace::kNetwork));
  }
  if (pod.ipc.ok()) {
    RETURN_IF_ERROR(EnterNamespace(pod.ipc.get(), Namespace::kIpc));
  }
  if (pod.uts.ok()) {
    RETURN_IF_ERROR(EnterNamespace(pod.uts.get(), Namespace::kUts));
  }
  return absl::OkStatus();
}

absl::Status CreateOwnNamespaces(ChildContext& context) {
  int flags = CLONE_NEWNS | CLONE_NEWCGROUP;
  if (context.pid_namespace >= 0) {
    RETURN_IF_ERROR(EnterNamespace(context.pid_namespace, Namespace::kPid));
  } else if (context.plan->pid_mode() != v1::ContainerPlan::PID_NODE) {
    flags |= CLONE_NEWPID;
  }
  if (unshare(flags) != 0) {
    return ErrnoError("make", "namespaces");
  }
  return absl::OkStatus();
}

absl::Status EnterContainerNamespaces(ChildContext& context) {
  const ContainerNamespaces& join = *context.join;
  RETURN_IF_ERROR(EnterNamespace(join.cgroup.get(), Namespace::kCgroup));
  RETURN_IF_ERROR(EnterNamespace(join.mount.get(), Namespace::kMount));
  if (!join.pid_of_host) {
    RETURN_IF_ERROR(EnterNamespace(join.pid.get(), Namespace::kPid));
  }
  context.root.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return context.root.ok() ? absl::OkStatus() : ErrnoError("open", "root");
}

absl::Status BecomeInit(ChildContext& context) {
  kernel::ForkOptions options;
  options.flags = CLONE_PARENT;
  ASSIGN_OR_RETURN(kernel::Forked forked, kernel::Fork(options));
  if (forked.pid == 0) {
    return absl::OkStatus();
  }
  // This process is done; the keeper hears of its successor and reaps it.
  v1::ChildMessage message;
  message.set_init_pid(forked.pid);
  const int fds[] = {forked.pidfd.get()};
  _exit(SendMessage(context.channel, message, fds).ok() ? 0 : 1);
}

absl::Status StartSession(ChildContext& /*context*/) {
  if (setsid() < 0) {
    return ErrnoError("start", "session");
  }
  // Keys of other sessions out of sight (catalogue C23).
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 &&
      errno != ENOSYS) {
    return ErrnoError("join", "session keyring");
  }
  return kernel::ForbidDumping();
}

}  // namespace caisson::keeper::steps
