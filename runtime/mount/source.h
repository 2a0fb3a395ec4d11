#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"

// Detached trees of the host, taken before any tree that a container can
// influence is attached, so that none of those can become a source
// (CVE-2021-30465).
namespace caisson::mount {

// A mount, not attached, and what is to be attached in it.
struct Source {
  struct Part {
    std::string path;  // in the tree, relative
    UniqueFd tree;
  };

  UniqueFd tree;
  // Submounts that could not come along with the tree, parents first.
  std::vector<Part> parts;
  // What the kernel made of the wish for ID mapping.
  bool mapped = false;
  std::vector<std::string> unmapped_below;  // submounts, as `path`
};

// The mount that a plan asks for: cloned or made, with its flags and ID map.
// `user_namespace` is the pod's, -1 when the host's.  Errors name the source;
// a filesystem that has no ID-mapped mounts is FailedPrecondition, names it
// and its type and ends with `advice`, unless the plan wants it unmapped then.
// In the host's mount namespace.
absl::StatusOr<Source> TakeSource(const keeper::v1::Mount& mount,
                                  const std::string& shm_path,
                                  int user_namespace,
                                  absl::string_view advice = "");

// A file of the host as the source of a device in /dev: never nodev.  The
// error is InvalidArgument when `path` isn't a device.
absl::StatusOr<UniqueFd> TakeDevice(const std::string& path);

}  // namespace caisson::mount
