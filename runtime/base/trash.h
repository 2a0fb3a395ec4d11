#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"

namespace caisson {

// A folder for trees that nobody has use for: they are renamed into it at
// once, and deleted by one thread of low priority, however long that takes.
// What is there from an earlier run is deleted, too.  A tree that can't be
// deleted stays, with a log line, and is tried again.  Thread-safe.
class Trash {
 public:
  // Opens or makes the folder `path` (mode 0700), whose parent exists.  It is
  // ours alone: whatever is in it goes.  `retry`: how long to wait before what
  // could not be deleted is tried again, doubled each time up to an hour.
  static absl::StatusOr<std::unique_ptr<Trash>> Open(
      const std::string& path, absl::Duration retry = absl::Minutes(1));
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;
  // Leaves what is still there to the next run; soon, also in the midst of a
  // large tree.
  ~Trash();

  // Takes the tree, file or link `path` (which is not followed) away from where
  // it is.  OK also when there is none.  Must be on the filesystem of the
  // folder (InvalidArgument) and no mount point (FailedPrecondition); what is
  // mounted below is moved with it, and keeps it from being deleted.
  absl::Status Discard(const std::string& path);

 private:
  Trash(std::string path, UniqueFd folder, absl::Duration retry);

  // The thread's.
  void Run();
  // Next name to delete; "": all that is in the folder.  False: the end.
  bool Next(Deadline retry, std::string& name);
  // How many entries stay.
  int DeleteAll();
  bool Delete(const std::string& name);

  const std::string path_;
  const UniqueFd folder_;
  const absl::Duration first_retry_;
  std::atomic<bool> stop_ = false;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::string> names_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace caisson
