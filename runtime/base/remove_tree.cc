#include "runtime/base/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/directory.h"
#include "runtime/base/id.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson {
namespace {

// How often a directory is read again that isn't empty afterwards: what goes
// while it is read makes readdir(3) skip others, and somebody may still write.
constexpr int kPasses = 64;

absl::StatusOr<uint64_t> MountId(int fd) {
  struct statx facts = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) != 0) {
    return ErrnoError("stat", "directory");
  }
  return facts.stx_mnt_id;
}

// Of errno, after `verb` failed.
absl::Status Refused(absl::string_view verb, absl::string_view name) {
  if (errno == EBUSY) {
    return absl::FailedPreconditionError(
        absl::StrCat(verb, " ", name, ": something is mounted there"));
  }
  return ErrnoError(verb, name);
}

bool IsNotEmpty() {
  return errno == ENOTEMPTY || errno == EEXIST;
}

// What was moved up has names made of a number, so that no list of them is
// kept: those from `next_` to `end_` are still to be emptied.
class Remover {
 public:
  Remover(int top, uint64_t mount, const std::atomic<bool>* stop)
      : top_(top), mount_(mount), stop_(stop) {}

  // Whether it can be removed now.
  absl::Status EmptyTop() {
    for (int i = 0; i < kPasses; ++i) {
      removed_ = 0;
      first_error_ = absl::OkStatus();
      RETURN_IF_ERROR(VisitDirectory(top_, [&](const DirectoryEntry& entry) {
        return RemoveFromTop(entry.name, entry.type);
      }));
      for (; next_ < end_; ++next_) {
        RETURN_IF_ERROR(RemoveFromTop(NameOf(next_), DT_DIR));
      }
      if (removed_ == 0) {
        return first_error_;
      }
    }
    first_error_.Update(absl::UnavailableError("it fills again"));
    return first_error_;
  }

 private:
  std::string NameOf(uint64_t number) const {
    return absl::StrCat(".removed-", prefix_, "-", number);
  }

  bool IsStopped() const {
    return stop_ != nullptr && stop_->load(std::memory_order_relaxed);
  }

  // An entry's failure is kept for the end; an error returned is the end.
  absl::Status Note(const absl::Status& status) {
    first_error_.Update(status);
    return IsStopped() ? absl::CancelledError("stopped") : absl::OkStatus();
  }

  // True: done with it, whether it went or `status` says why not.
  bool RemoveLeaf(int parent, const std::string& name, unsigned char type,
                  absl::Status& status) {
    if (type != DT_DIR) {
      if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) {
        ++removed_;
        return true;
      }
      if (errno != EISDIR) {
        status = Refused("remove", name);
        return true;
      }
    }
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      ++removed_;
      return true;
    }
    if (!IsNotEmpty()) {
      status = Refused("remove directory", name);
      return true;
    }
    return false;
  }

  absl::Status RemoveFromTop(const std::string& name, unsigned char type) {
    absl::Status status;
    if (!RemoveLeaf(top_, name, type, status)) {
      status = RemoveFull(name);
    }
    return absl::IsCancelled(status) ? status : Note(status);
  }

  absl::Status RemoveFull(const std::string& name) {
    const UniqueFd child(openat(
        top_, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child.ok()) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", name);
    }
    ASSIGN_OR_RETURN(const uint64_t id, MountId(child.get()));
    if (id != mount_) {
      errno = EBUSY;
      return Refused("remove", name);
    }
    for (int i = 0; i < kPasses; ++i) {
      const uint64_t before = removed_;
      RETURN_IF_ERROR(
          VisitDirectory(child.get(), [&](const DirectoryEntry& entry) {
            return RemoveOrMoveUp(child.get(), entry.name, entry.type);
          }));
      if (unlinkat(top_, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
        ++removed_;
        return absl::OkStatus();
      }
      if (!IsNotEmpty() || removed_ == before) {
        break;
      }
    }
    return Refused("remove directory", name);
  }

  absl::Status RemoveOrMoveUp(int parent, const std::string& name,
                              unsigned char type) {
    absl::Status status;
    if (!RemoveLeaf(parent, name, type, status)) {
      if (renameat2(parent, name.c_str(), top_, NameOf(end_).c_str(),
                    RENAME_NOREPLACE) == 0) {
        ++end_;
        ++removed_;
      } else if (errno != ENOENT) {
        status = Refused("move up directory", name);
      }
    }
    return Note(status);
  }

  const int top_;
  const uint64_t mount_;
  const std::atomic<bool>* const stop_;
  // Nobody's who wrote below, not even of those who knew another call's.
  const std::string prefix_ = GenerateId();
  uint64_t next_ = 0;
  uint64_t end_ = 0;
  uint64_t removed_ = 0;
  absl::Status first_error_;
};

}  // namespace

absl::Status RemoveTree(const std::string& path,
                        const std::atomic<bool>* stop) {
  const UniqueFd top(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", path);
  }
  ASSIGN_OR_RETURN(const uint64_t mount, MountId(top.get()));
  RETURN_IF_ERROR(Annotate(Remover(top.get(), mount, stop).EmptyTop(), path));
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return Refused("remove directory", path);
  }
  return absl::OkStatus();
}

}  // namespace caisson
