#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

// credentials(7) and capabilities(7) of the calling, single-threaded process.
// Each change is followed by PR_SET_DUMPABLE 0: with fs.suid_dumpable=1 a
// change of ids makes a process traceable again (catalogue A8).
namespace caisson::kernel {

// All three user and group ids, and the supplementary groups; ids of the
// current user namespace.
absl::Status SetIds(uid_t uid, gid_t gid, absl::Span<const gid_t> groups);

// As SetIds, but permitted capabilities survive the change of a root uid.
absl::Status SetIdsKeepCapabilities(uid_t uid, gid_t gid,
                                    absl::Span<const gid_t> groups);

absl::Status ForbidDumping();

// Has the kernel kill this process when the thread that forked it ends
// (PR_SET_PDEATHSIG of prctl(2)).  A later change of credentials takes it
// back; execve(2) of a program that is not privileged does not.  Child only.
absl::Status DieWithParent();

// Bit N of a set: capability N.
struct CapabilityState {
  uint64_t permitted = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
};

// While it lives new files are of these ids, and the process has the same
// capabilities as before, which setfsuid(2) alone would take.
class ActingAs {
 public:
  ActingAs(uid_t uid, gid_t gid);
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;
  ~ActingAs();
};

// Drops from the bounding set what isn't in `keep`.
absl::Status LimitBoundingSet(uint64_t keep);
absl::Status SetCapabilities(const CapabilityState& state);
// Clears the ambient set, then raises `ambient`.
absl::Status SetAmbient(uint64_t ambient);

// For a process that only has to be there: no capability in any set, no new
// privileges, not traceable, and killed when its parent ends.
absl::Status DropEverything();

}  // namespace caisson::kernel
