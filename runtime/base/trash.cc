#include "runtime/base/trash.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/status.h"

namespace caisson {
namespace {

constexpr absl::Duration kLongestRetry = absl::Hours(1);

// Deleting must not keep pods from the disk.  Not the idle class: a busy disk
// would let the trash fill it.  Refused, it is as urgent as the rest.
void LowerPriority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);
  syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
          IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trash>> Trash::Open(const std::string& path,
                                                   absl::Duration retry) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  UniqueFd folder(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.ok()) {
    return ErrnoError("open", path);
  }
  return std::unique_ptr<Trash>(new Trash(path, std::move(folder), retry));
}

Trash::Trash(std::string path, UniqueFd folder, absl::Duration retry)
    : path_(std::move(path)),
      folder_(std::move(folder)),
      first_retry_(retry),
      thread_([this] { Run(); }) {}

Trash::~Trash() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

absl::Status Trash::Discard(const std::string& path) {
  const std::string name = GenerateId();
  if (renameat(AT_FDCWD, path.c_str(), folder_.get(), name.c_str()) != 0) {
    struct stat facts = {};
    switch (errno) {
      case ENOENT:
        // Or is it the folder that is gone?
        return lstat(path.c_str(), &facts) != 0
                   ? absl::OkStatus()
                   : absl::NotFoundError(absl::StrCat("discard ", path, ": ",
                                                      path_, " was removed"));
      case EXDEV:
        return absl::InvalidArgumentError(absl::StrCat(
            "discard ", path, ": not on the filesystem of ", path_));
      case EBUSY:
        return absl::FailedPreconditionError(
            absl::StrCat("discard ", path, ": something is mounted there"));
      default:
        return ErrnoError("discard", path);
    }
  }
  {
    const MutexLock lock(mutex_);
    names_.push_back(name);
  }
  changed_.NotifyAll();
  return absl::OkStatus();
}

void Trash::Run() {
  LowerPriority();
  absl::Duration wait = first_retry_;
  // At the start there may be something of an earlier run.
  Deadline retry;
  std::string name;
  while (Next(retry, name)) {
    if (!name.empty()) {
      if (!Delete(name) && retry.is_never()) {
        retry = Deadline::After(wait);
      }
    } else if (DeleteAll() == 0) {
      wait = first_retry_;
      retry = Deadline::Never();
    } else {
      retry = Deadline::After(wait);
      wait = std::min(2 * wait, kLongestRetry);
    }
  }
}

bool Trash::Next(Deadline retry, std::string& name) {
  name.clear();
  const MutexLock lock(mutex_);
  while (!stop_ && names_.empty() && !retry.passed()) {
    changed_.WaitUntil(mutex_, retry);
  }
  if (stop_) {
    return false;
  }
  // The new ones first: those of the retry have failed before.
  if (!names_.empty()) {
    name = std::move(names_.front());
    names_.pop_front();
  }
  return true;
}

int Trash::DeleteAll() {
  int kept = 0;
  const absl::Status status =
      VisitDirectory(folder_.get(), [&](const DirectoryEntry& entry) {
        kept += Delete(entry.name) ? 0 : 1;
        return stop_ ? absl::CancelledError("stopped") : absl::OkStatus();
      });
  if (!status.ok() && !absl::IsCancelled(status)) {
    LogWarning(absl::StrCat("empty ", path_, ": ", status.message()));
    return kept + 1;
  }
  return kept;
}

bool Trash::Delete(const std::string& name) {
  if (unlinkat(folder_.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return true;
  }
  const absl::Status status =
      RemoveTree(absl::StrCat(path_, "/", name), &stop_);
  if (status.ok() || absl::IsCancelled(status)) {
    return status.ok();
  }
  LogWarning(
      absl::StrCat("delete trash: ", status.message(), ": tried again later"));
  return false;
}

}  // namespace caisson
