#pragma once

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"

namespace caisson::image {

// The node's mounts of sealed layers, one a layer, shared by all containers.
// They outlive the daemon; one that is there already is taken as it is.  Any
// thread.
class LayerMounts {
 public:
  explicit LayerMounts(std::string directory)
      : directory_(std::move(directory)) {}

  // Mounts the EROFS image `file` at DIRECTORY/`name` unless it is, and
  // returns the mount point.
  absl::StatusOr<std::string> Mount(const std::string& name,
                                    const std::string& file);

  // Containers keep their clones of it.  OK when absent.
  absl::Status Unmount(const std::string& name);

  // Unmounts all but `keep`.
  absl::Status UnmountOthers(const std::set<std::string>& keep);

 private:
  const std::string directory_;
  Mutex mutex_;
  std::set<std::string> mounted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::image
