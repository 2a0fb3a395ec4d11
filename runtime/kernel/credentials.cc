#include "runtime/kernel/credentials.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::kernel {
namespace {

constexpr int kMaxCapability = 63;

bool Has(uint64_t set, int capability) {
  return ((set >> capability) & 1) != 0;
}

}  // namespace

absl::Status ForbidDumping() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return ErrnoError("forbid", "dumping");
  }
  if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return absl::InternalError("forbid dumping: still dumpable");
  }
  return absl::OkStatus();
}

absl::Status SetIds(uid_t uid, gid_t gid, absl::Span<const gid_t> groups) {
  if (setgroups(groups.size(), groups.data()) != 0) {
    return ErrnoError("set", "supplementary groups");
  }
  if (setresgid(gid, gid, gid) != 0) {
    return ErrnoError("set group", absl::StrCat(gid));
  }
  RETURN_IF_ERROR(ForbidDumping());
  if (setresuid(uid, uid, uid) != 0) {
    return ErrnoError("set user", absl::StrCat(uid));
  }
  return ForbidDumping();
}

absl::Status SetIdsKeepCapabilities(uid_t uid, gid_t gid,
                                    absl::Span<const gid_t> groups) {
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return ErrnoError("keep", "capabilities");
  }
  RETURN_IF_ERROR(SetIds(uid, gid, groups));
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) {
    return ErrnoError("stop keeping", "capabilities");
  }
  return absl::OkStatus();
}

ActingAs::ActingAs(uid_t uid, gid_t gid) {
  setfsgid(gid);
  setfsuid(uid);
  // Only a prctl(2) that the kernel doesn't know fails.
  [[maybe_unused]] const absl::Status forbidden = ForbidDumping();
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) == 0) {
    for (__user_cap_data_struct& half : data) {
      half.effective = half.permitted;
    }
    // Without them the file is not made: that error is the caller's.
    [[maybe_unused]] const long set = syscall(SYS_capset, &header, data);
  }
}

ActingAs::~ActingAs() {
  setfsuid(geteuid());
  setfsgid(getegid());
  [[maybe_unused]] const absl::Status forbidden = ForbidDumping();
}

absl::Status LimitBoundingSet(uint64_t keep) {
  for (int i = 0; i <= kMaxCapability; ++i) {
    if (Has(keep, i)) {
      continue;
    }
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
      // The first number the kernel doesn't know.
      if (errno == EINVAL) {
        break;
      }
      return ErrnoError("drop capability", absl::StrCat(i));
    }
  }
  return absl::OkStatus();
}

absl::Status SetCapabilities(const CapabilityState& state) {
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    const int shift = 32 * half;
    data[half].permitted = static_cast<uint32_t>(state.permitted >> shift);
    data[half].effective = static_cast<uint32_t>(state.effective >> shift);
    data[half].inheritable = static_cast<uint32_t>(state.inheritable >> shift);
  }
  if (syscall(SYS_capset, &header, data) != 0) {
    return ErrnoError("set", "capabilities");
  }
  return absl::OkStatus();
}

absl::Status SetAmbient(uint64_t ambient) {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return ErrnoError("clear", "ambient capabilities");
  }
  for (int i = 0; i <= kMaxCapability; ++i) {
    if (Has(ambient, i) &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0) {
      return ErrnoError("raise ambient capability", absl::StrCat(i));
    }
  }
  return absl::OkStatus();
}

absl::Status DieWithParent() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
    return ErrnoError("set", "parent death signal");
  }
  return absl::OkStatus();
}

absl::Status DropEverything() {
  RETURN_IF_ERROR(LimitBoundingSet(0));
  RETURN_IF_ERROR(SetCapabilities({}));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError("forbid", "new privileges");
  }
  // After the change of credentials, which takes it back.
  RETURN_IF_ERROR(DieWithParent());
  return ForbidDumping();
}

}  // namespace caisson::kernel
