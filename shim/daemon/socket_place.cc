#include "shim/daemon/socket_place.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::daemon {
namespace {

absl::StatusOr<uint64_t> SocketInode(const std::string& path) {
  struct stat facts = {};
  if (lstat(path.c_str(), &facts) != 0) {
    return ErrnoError("stat", path);
  }
  if (!S_ISSOCK(facts.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("stat ", path, ": not a socket"));
  }
  return facts.st_ino;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketPlace>> SocketPlace::Take(
    const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd lock(
      open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock.ok()) {
    return ErrnoError("open", name);
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK
               ? absl::AlreadyExistsError(absl::StrCat(
                     "listen at ", path, ": another daemon has it"))
               : ErrnoError("lock", name);
  }
  return std::unique_ptr<SocketPlace>(new SocketPlace(path, std::move(lock)));
}

std::string SocketPlace::BindPath() const {
  return path_ + ".new";
}

absl::Status SocketPlace::Publish() {
  ASSIGN_OR_RETURN(const uint64_t inode, SocketInode(BindPath()));
  if (rename(BindPath().c_str(), path_.c_str()) != 0) {
    return ErrnoError("rename", BindPath());
  }
  inode_ = inode;
  return absl::OkStatus();
}

void SocketPlace::Remove() {
  const absl::StatusOr<uint64_t> there = SocketInode(path_);
  if (inode_ != 0 && there.ok() && *there == inode_ &&
      unlink(path_.c_str()) != 0) {
    LogWarning(ErrnoError("remove", path_).message());
  }
}

}  // namespace caisson::daemon
