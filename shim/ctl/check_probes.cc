#include "shim/ctl/check_probes.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"
#include "runtime/kernel/process.h"

namespace caisson::ctl {
namespace {

constexpr char kUnified[] = "/sys/fs/cgroup/unified";

absl::Status Missing(absl::string_view what) {
  return absl::UnavailableError(what);
}

std::string ReadText(const std::string& path) {
  constexpr size_t kMost = 1 << 20;
  return std::string(
      absl::StripAsciiWhitespace(ReadRegularFile(path, kMost).value_or("")));
}

bool IsCgroup2(const char* path) {
  struct statfs info {};

  return ::statfs(path, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

absl::Status WriteText(const std::string& path, absl::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return ::write(fd.get(), text.data(), text.size()) < 0
             ? ErrnoError("write", path)
             : absl::OkStatus();
}

// A user namespace with a range of a pod, held by a child that waits.
absl::StatusOr<UniqueFd> MakeUserNamespace() {
  ASSIGN_OR_RETURN(const kernel::Forked child,
                   kernel::Fork({CLONE_NEWUSER, -1, SIGCHLD}));
  if (child.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
      ::pause();
    }
  }
  const absl::Cleanup end = [&child] {
    (void)kernel::SignalProcess(child.pidfd.get(), SIGKILL);
    (void)kernel::Reap(child.pidfd.get(), true);
  };
  constexpr absl::string_view kMap = "0 268435456 65536";
  for (const char* name : {"/uid_map", "/gid_map"}) {
    RETURN_IF_ERROR(WriteText(absl::StrCat("/proc/", child.pid, name), kMap));
  }
  return kernel::OpenNamespace(child.pidfd.get(), kernel::Namespace::kUser);
}

}  // namespace

absl::StatusOr<std::string> ProbeKernel() {
  utsname name{};
  int major = 0;
  int minor = 0;
  if (::uname(&name) != 0) {
    return ErrnoError("read", "kernel version");
  }
  if (std::sscanf(name.release, "%d.%d", &major, &minor) != 2) {
    return Missing(absl::StrCat("unreadable version ", name.release));
  }
  constexpr std::pair<int, int> kFloor = {6, 12};
  if (std::make_pair(major, minor) < kFloor) {
    return Missing(absl::StrCat(name.release, " is older than 6.12"));
  }
  return std::string(name.release);
}

absl::StatusOr<std::string> ProbeErofs() {
  RETURN_IF_ERROR(kernel::NewFilesystem::Open("erofs").status());
  return std::string("filesystem can be made");
}

absl::StatusOr<std::string> ProbeOverlay() {
  ASSIGN_OR_RETURN(kernel::NewFilesystem overlay,
                   kernel::NewFilesystem::Open("overlay"));
  RETURN_IF_ERROR(overlay.Set("lowerdir+", "/"));
  return std::string("takes its layers one by one");
}

absl::StatusOr<std::string> ProbeUserNamespaces() {
  RETURN_IF_ERROR(MakeUserNamespace().status());
  return absl::StrCat("at most ",
                      ReadText("/proc/sys/user/max_user_namespaces"));
}

absl::StatusOr<std::string> ProbeIdMappedMounts() {
  ASSIGN_OR_RETURN(const UniqueFd space, MakeUserNamespace());
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  ASSIGN_OR_RETURN(const UniqueFd mount, tmpfs.Mount(0));
  kernel::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.user_namespace = space.get();
  RETURN_IF_ERROR(kernel::SetMountAttributes(mount.get(), attributes));
  return std::string("a tmpfs was mapped");
}

absl::StatusOr<std::string> ProbeCgroup2() {
  if (IsCgroup2("/sys/fs/cgroup")) {
    return std::string("unified");
  }
  if (IsCgroup2(kUnified)) {
    return absl::StrCat("hybrid, at ", kUnified);
  }
  return Missing("not mounted: caisson mounts one for itself");
}

absl::StatusOr<std::string> ProbeControllers() {
  const bool unified = IsCgroup2("/sys/fs/cgroup");
  const std::string listed =
      unified ? ReadText("/sys/fs/cgroup/cgroup.controllers") : "";
  const std::vector<std::string> names = absl::StrSplit(listed, ' ');
  std::vector<std::string> missing;
  for (const char* name : {"cpu", "cpuset", "memory", "pids"}) {
    const bool there =
        unified ? std::find(names.begin(), names.end(), name) != names.end()
                : ::access(absl::StrCat("/sys/fs/cgroup/", name).c_str(),
                           F_OK) == 0;
    if (!there) {
      missing.emplace_back(name);
    }
  }
  if (!missing.empty()) {
    return Missing(absl::StrCat("no ", absl::StrJoin(missing, ", ")));
  }
  return std::string(unified ? "cgroup v2" : "cgroup v1");
}

absl::StatusOr<std::string> ProbeSeccomp() {
  const std::string actions =
      ReadText("/proc/sys/kernel/seccomp/actions_avail");
  if (!absl::StrContains(actions, "errno")) {
    return Missing("the kernel has no filters");
  }
  return actions;
}

absl::StatusOr<std::string> ProbeLandlock() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0,
                                 LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) {
    return ErrnoError("create", "landlock ruleset");
  }
  return absl::StrCat("version ", version);
}

absl::StatusOr<std::string> ProbePidfd() {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!fd.ok()) {
    return ErrnoError("open", "pidfd");
  }
  return std::string("opened");
}

absl::StatusOr<std::string> ProbeResourceCapability() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) != 0) {
    return ErrnoError("read", "capabilities");
  }
  if ((data[0].effective & (1U << CAP_SYS_RESOURCE)) == 0) {
    return Missing("not held");
  }
  return std::string("held");
}

}  // namespace caisson::ctl
