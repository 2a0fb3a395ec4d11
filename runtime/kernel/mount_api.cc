#include "runtime/kernel/mount_api.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson::kernel {
namespace {

constexpr unsigned kCloneFlags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

absl::StatusOr<UniqueFd> OpenTree(int directory, const char* path,
                                  unsigned flags) {
  UniqueFd fd(open_tree(directory, path, flags));
  if (!fd.ok()) {
    return ErrnoError("clone mount", path);
  }
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> CloneTree(int directory, const char* path,
                                   bool recursive) {
  return OpenTree(directory, path,
                  kCloneFlags | (recursive ? AT_RECURSIVE : 0));
}

absl::StatusOr<UniqueFd> CloneTreeAt(int fd, bool recursive) {
  return OpenTree(fd, "",
                  kCloneFlags | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));
}

absl::Status SetMountAttributes(int mount, const MountAttributes& attributes) {
  mount_attr attr = {};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  attr.propagation = attributes.propagation;
  if (attributes.user_namespace >= 0) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<uint64_t>(attributes.user_namespace);
  }
  const unsigned flags =
      AT_EMPTY_PATH | (attributes.recursive ? AT_RECURSIVE : 0);
  if (mount_setattr(mount, "", flags, &attr, sizeof(attr)) != 0) {
    return ErrnoError("set attributes", "of mount");
  }
  return absl::OkStatus();
}

absl::Status SetPropagation(uint64_t propagation) {
  if (::mount(nullptr, "/", nullptr, MS_REC | propagation, nullptr) != 0) {
    return ErrnoError("set propagation", "of all mounts");
  }
  return absl::OkStatus();
}

absl::Status UnshareMounts(uint64_t propagation) {
  if (unshare(CLONE_NEWNS) != 0) {
    return ErrnoError("make", "mount namespace");
  }
  return SetPropagation(propagation);
}

absl::Status AttachMount(int mount, int target) {
  if (move_mount(mount, "", target, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return ErrnoError("attach", "mount");
  }
  return absl::OkStatus();
}

absl::Status AttachMountAt(int mount, int directory, const char* name) {
  if (move_mount(mount, "", directory, name, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoError("attach mount at", name);
  }
  return absl::OkStatus();
}

absl::StatusOr<NewFilesystem> NewFilesystem::Open(const char* type) {
  UniqueFd fd(fsopen(type, FSOPEN_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open filesystem", type);
  }
  return NewFilesystem(std::move(fd), type);
}

absl::Status NewFilesystem::Failure(absl::string_view verb,
                                    absl::string_view object) {
  absl::Status status = ErrnoError(verb, absl::StrCat(type_, " ", object));
  // The kernel says more than errno through the context's own log.
  char text[256];
  const ssize_t length = read(fd_.get(), text, sizeof(text));
  if (length <= 0) {
    return status;
  }
  std::string said(text, static_cast<size_t>(length));
  while (!said.empty() && said.back() == '\n') {
    said.pop_back();
  }
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), " (", said, ")"));
}

absl::Status NewFilesystem::Set(const char* key, const char* value) {
  if (fsconfig(fd_.get(), FSCONFIG_SET_STRING, key, value, 0) != 0) {
    return Failure("configure", absl::StrCat(key, "=", value));
  }
  return absl::OkStatus();
}

absl::Status NewFilesystem::SetFlag(const char* key) {
  if (fsconfig(fd_.get(), FSCONFIG_SET_FLAG, key, nullptr, 0) != 0) {
    return Failure("configure", key);
  }
  return absl::OkStatus();
}

absl::Status NewFilesystem::SetContext(const std::string& context) {
  return context.empty() ? absl::OkStatus() : Set("context", context.c_str());
}

absl::StatusOr<UniqueFd> NewFilesystem::Mount(uint64_t attributes) {
  if (fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Failure("create", "superblock");
  }
  UniqueFd mount(
      fsmount(fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount.ok()) {
    return Failure("mount", "");
  }
  return mount;
}

}  // namespace caisson::kernel
