#include "shim/ops/pod_files.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "runtime/base/read_file.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/kernel/mount_api.h"

namespace caisson::ops {
namespace {

constexpr size_t kMostOfHost = 1 << 20;
// What containers may add.
constexpr size_t kRoom = 64 << 10;
// The root, the three files, and room for their extended attributes, which are
// counted as inodes: SELinux gives each one.
constexpr char kInodes[] = "8";
constexpr uint64_t kHardened =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// Empty when the host has none, or something else than a file of that name.
std::string ReadHostFile(const char* path) {
  return ReadRegularFile(path, kMostOfHost).value_or("");
}

size_t InPages(const std::string& text) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (text.size() + page - 1) / page * page;
}

absl::Status WriteFileAt(int directory, const char* name,
                         const std::string& text) {
  const UniqueFd file(
      openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.ok() || fchmod(file.get(), 0644) != 0) {
    return ErrnoError("create", name);
  }
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote =
        write(file.get(), text.data() + done, text.size() - done);
    if (wrote < 0) {
      return ErrnoError("write", name);
    }
    done += static_cast<size_t>(wrote);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> MakeFilesystem(const PodFiles& files) {
  const size_t bytes = kRoom + InPages(files.resolv_conf) +
                       InPages(files.hostname) + InPages(files.hosts);
  ASSIGN_OR_RETURN(kernel::NewFilesystem tmpfs,
                   kernel::NewFilesystem::Open("tmpfs"));
  RETURN_IF_ERROR(tmpfs.Set("mode", "755"));
  RETURN_IF_ERROR(tmpfs.Set("size", absl::StrCat(bytes).c_str()));
  RETURN_IF_ERROR(tmpfs.Set("nr_inodes", kInodes));
  return tmpfs.Mount(kHardened);
}

absl::Status Unmount(const std::string& path) {
  // Until nothing is mounted: a retried creation may have mounted twice.
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  return errno == EINVAL || errno == ENOENT ? absl::OkStatus()
                                            : ErrnoError("unmount", path);
}

}  // namespace

PodFiles DescribePodFiles(const plan::PodDecision& decision) {
  PodFiles files;
  files.resolv_conf = decision.resolv_conf.empty()
                          ? ReadHostFile("/etc/resolv.conf")
                          : decision.resolv_conf;
  files.hostname = absl::StrCat(decision.plan.hostname(), "\n");
  files.hosts = decision.plan.own_network()
                    ? "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
                    : ReadHostFile("/etc/hosts");
  return files;
}

std::string PodFilesDirectory(const std::string& pod_directory) {
  return pod_directory + "/files";
}

absl::Status MakePodFiles(const std::string& pod_directory,
                          const PodFiles& files) {
  const std::string path = PodFilesDirectory(pod_directory);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("create directory", path);
  }
  ASSIGN_OR_RETURN(const UniqueFd filesystem, MakeFilesystem(files));
  RETURN_IF_ERROR(
      WriteFileAt(filesystem.get(), "resolv.conf", files.resolv_conf));
  RETURN_IF_ERROR(WriteFileAt(filesystem.get(), "hostname", files.hostname));
  RETURN_IF_ERROR(WriteFileAt(filesystem.get(), "hosts", files.hosts));
  // Last: whoever finds it finds all three.
  return kernel::AttachMountAt(filesystem.get(), AT_FDCWD, path.c_str());
}

absl::Status RemovePodDirectory(const std::string& pod_directory) {
  RETURN_IF_ERROR(Unmount(PodFilesDirectory(pod_directory)));
  return RemoveTree(pod_directory);
}

}  // namespace caisson::ops
