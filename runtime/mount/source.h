#pragma once

#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"

// Detached trees of the host, taken before any tree that a container can
// influence is attached, so that none of those can become a source
// (CVE-2021-30465).
namespace caisson::mount {

// The mount that a plan asks for: cloned or made, with its flags and ID map,
// not attached.  `user_namespace` is the pod's, -1 when the host's.  Errors
// name the source; a filesystem that cannot be ID-mapped is
// FailedPrecondition with its type.  In the keepers' mount namespace.
absl::StatusOr<UniqueFd> TakeSource(const keeper::v1::Mount& mount,
                                    const std::string& shm_path,
                                    int user_namespace);

// A file of the host as the source of a device in /dev: never nodev.  The
// error is InvalidArgument when `path` isn't a device.
absl::StatusOr<UniqueFd> TakeDevice(const std::string& path);

}  // namespace caisson::mount
