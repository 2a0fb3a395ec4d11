#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/unique_fd.h"

// The new mount API: fsopen(2), open_tree(2), move_mount(2),
// mount_setattr(2).  A mount is made detached, given all its flags, and
// attached last, so it is never visible half made (catalogue B17).
namespace caisson::kernel {

// MOUNT_ATTR_* bits to set and to clear.
struct MountAttributes {
  uint64_t set = 0;
  uint64_t clear = 0;
  // MS_SHARED, MS_SLAVE, MS_PRIVATE or 0: leave.
  uint64_t propagation = 0;
  // A user namespace whose map translates the mount's ids; -1: none.
  int user_namespace = -1;
  bool recursive = false;
};

// A detached copy of the mount at `path` below `directory` (AT_FDCWD: the
// host's tree), with its submounts if `recursive`.
absl::StatusOr<UniqueFd> CloneTree(int directory, const char* path,
                                   bool recursive);

// A detached copy of the mount that `fd` is on, rooted at `fd`.
absl::StatusOr<UniqueFd> CloneTreeAt(int fd, bool recursive);

// Changes a mount that this fd is the root of.
absl::Status SetMountAttributes(int mount, const MountAttributes& attributes);

// Sets the propagation of all mounts of this process's namespace: MS_PRIVATE,
// MS_SLAVE (mount_namespaces(7)).
absl::Status SetPropagation(uint64_t propagation);

// Gives the process a mount namespace of its own, a copy in which all mounts
// have `propagation`.
absl::Status UnshareMounts(uint64_t propagation);

// Attaches the detached `mount` at the file or directory `target` (O_PATH):
// to what the fd holds, whatever happened to its name since.
absl::Status AttachMount(int mount, int target);

// The same at the file or directory `name` (one component, no symlink) of a
// directory that nobody else can change yet.
absl::Status AttachMountAt(int mount, int directory, const char* name);

// A filesystem being made: fsopen .. fsmount.
class NewFilesystem {
 public:
  static absl::StatusOr<NewFilesystem> Open(const char* type);

  // FSCONFIG_SET_STRING and FSCONFIG_SET_FLAG.
  absl::Status Set(const char* key, const char* value);
  absl::Status SetFlag(const char* key);
  // The SELinux context of all files in it; empty: none is set.
  absl::Status SetContext(const std::string& context);

  // Makes the superblock and a detached mount of it with MOUNT_ATTR_* flags.
  // The error holds what the kernel logged about it.
  absl::StatusOr<UniqueFd> Mount(uint64_t attributes);

 private:
  explicit NewFilesystem(UniqueFd fd, const char* type)
      : fd_(std::move(fd)), type_(type) {}

  absl::Status Failure(absl::string_view verb, absl::string_view object);

  UniqueFd fd_;
  const char* type_;
};

}  // namespace caisson::kernel
