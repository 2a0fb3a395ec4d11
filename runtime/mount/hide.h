#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/unique_fd.h"

// Masked and read-only paths of a container, after pivot_root: the paths are
// resolved inside its root, each once, and used by fd.
namespace caisson::mount {

// Hides paths: an empty read-only directory over a directory, /dev/null over
// anything else.  /dev/null is checked to be the null device before use
// (CVE-2025-31133).  A path that does not exist is skipped; every other
// failure is an error.
class Masker {
 public:
  // `root` is the container's root directory, borrowed.
  explicit Masker(int root) : root_(root) {}

  absl::Status Mask(absl::string_view path);

 private:
  absl::StatusOr<UniqueFd> EmptyDirectory();
  absl::StatusOr<UniqueFd> NullDevice();

  int root_;
  // The first one attached; later ones are clones of it, so that many masks
  // cost one superblock.
  UniqueFd empty_;
};

// Binds `path` over itself read-only, with its submounts.  Skipped when it
// does not exist.
absl::Status MakeReadOnly(int root, absl::string_view path);

}  // namespace caisson::mount
