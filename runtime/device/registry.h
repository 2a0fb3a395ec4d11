#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/device/spec.h"

namespace caisson::device {

// The devices that the specs in some directories define.
class Registry {
 public:
  // Of two directories that define one device, the later one wins.
  explicit Registry(std::vector<std::string> directories)
      : directories_(std::move(directories)) {}

  // All that is to be done for the devices of these fully qualified names, in
  // their order; the common edits of a spec come before those of its first
  // device.  The directories are looked at anew each time, and files that
  // changed are read again.
  //
  // InvalidArgument: not such a name, or too many.  FailedPrecondition: no
  // spec defines it (with the directories, and the files that can't be used),
  // two files of one directory do, or it needs what can't be had here.  Any
  // thread.
  absl::StatusOr<Edits> Resolve(const std::vector<std::string>& names);

 private:
  using SpecPtr = std::shared_ptr<const Spec>;

  // A file as it was when it was read.
  struct File {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    int64_t size = -1;
    uint64_t inode = 0;
    absl::Status status;
    SpecPtr spec;  // null unless the status is OK
  };

  struct Definition {
    SpecPtr spec;
    const Device* device = nullptr;
    size_t directory = 0;
    // Another of the same directory, which makes it unusable.
    std::string rival;
  };

  // By fully qualified name; `broken`: why files can't be used.
  struct Definitions {
    std::map<std::string, Definition> devices;
    std::string broken;
  };

  absl::StatusOr<SpecPtr> ReadSpec(const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddDirectory(size_t index, Definitions& all, std::set<std::string>& seen)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Definitions ReadAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<const Definition*> Find(const std::string& name,
                                         const Definitions& all) const;

  const std::vector<std::string> directories_;
  Mutex mutex_;
  std::map<std::string, File> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::device
