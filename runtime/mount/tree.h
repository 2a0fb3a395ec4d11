#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/mount/source.h"

// Flags and ID maps of a detached tree.
namespace caisson::mount {

// MOUNT_ATTR_* that the plan asks for on the topmost mount.
uint64_t FlagsOf(const keeper::v1::Mount& mount);

// Gives the tree its flags and propagation, its submounts what concerns them.
absl::Status SetTreeFlags(const keeper::v1::Mount& mount, int tree);

// Whether the tree's ids are now mapped; false when the kernel can't: a
// filesystem without ID-mapped mounts, or one that is mapped already.
absl::StatusOr<bool> TryMapIds(int tree, int user_namespace, bool recursive);

// The bind of the file `found` (O_PATH) mount by mount, each mapped where it
// can be.  For a plan that wants all mapped the first that can't is the error.
//
// A mount can be mapped only while it is detached and alone, and until Linux
// 6.15 nothing can be attached to a detached one: the submounts come back as
// parts.  A tree that is to propagate to the host stays whole, for each part
// attached to it would appear on the host: only its topmost mount is mapped.
absl::StatusOr<Source> TakeApart(const keeper::v1::Mount& mount, int found,
                                 int user_namespace, absl::string_view advice);

}  // namespace caisson::mount
