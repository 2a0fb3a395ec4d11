#include "runtime/cgroup/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/hierarchy.h"

namespace caisson::cgroup {
namespace {

constexpr size_t kMaxPath = 2048;
constexpr int kMaxDepth = 256;

absl::Status CheckName(absl::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  // "cgroup.procs" and its like are the kernel's own files.
  if (name.empty() || name == "." || name == ".." || name.size() > 255 ||
      absl::StrContains(name, '/') || absl::StartsWith(name, "cgroup.") ||
      !printable) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup name \"", name, "\": not allowed"));
  }
  return absl::OkStatus();
}

absl::Status CheckPath(const std::string& path) {
  if (path.size() > kMaxPath) {
    return absl::InvalidArgumentError("cgroup path: too long");
  }
  for (absl::string_view name : absl::StrSplit(path, '/')) {
    RETURN_IF_ERROR(
        Annotate(CheckName(name), absl::StrCat("cgroup path \"", path, "\"")));
  }
  return absl::OkStatus();
}

// Undoes a half made creation.
void RemoveMade(const std::vector<std::string>& made) {
  for (auto dir = made.rbegin(); dir != made.rend(); ++dir) {
    rmdir(dir->c_str());
  }
}

absl::Status MakeEverywhere(const Layout& layout, const std::string& path,
                            std::vector<std::string>& made) {
  RETURN_IF_ERROR(MakeDirectories(layout.unified, path, made));
  if (layout.is_v2()) {
    EnableControllers(layout.unified, path);
    return absl::OkStatus();
  }
  for (const std::string& mount : PlacementMounts(layout)) {
    RETURN_IF_ERROR(MakeDirectories(mount, path, made));
  }
  return absl::OkStatus();
}

absl::Status CollectProcesses(const std::string& directory, int depth,
                              std::vector<int>& pids) {
  absl::StatusOr<std::string> text = ReadText(directory + "/cgroup.procs");
  if (absl::IsNotFound(text.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(text.status());
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    int pid = 0;
    // 0: a process of a pid namespace that this one can't see.
    if (absl::SimpleAtoi(line, &pid) && pid > 0) {
      pids.push_back(pid);
    }
  }
  absl::StatusOr<std::vector<std::string>> children = ListChildren(directory);
  if (!children.ok() || depth >= kMaxDepth) {
    return absl::OkStatus();
  }
  for (const std::string& child : *children) {
    RETURN_IF_ERROR(
        CollectProcesses(absl::StrCat(directory, "/", child), depth + 1, pids));
  }
  return absl::OkStatus();
}

// Reads from the start, which also tells poll what has been seen.
absl::StatusOr<bool> ReadPopulated(int events) {
  char text[256];
  const ssize_t n = pread(events, text, sizeof(text), 0);
  if (n < 0) {
    if (errno == ENODEV) {
      return false;
    }
    return ErrnoError("read", "cgroup.events");
  }
  return absl::StrContains(absl::string_view(text, static_cast<size_t>(n)),
                           "populated 1");
}

// `tasks` of the cgroup or of its nearest ancestor in the hierarchy: the pod's
// limits hold for a container that needs none of its own.
absl::StatusOr<UniqueFd> OpenNearestTasks(const Layout& layout,
                                          const std::string& mount,
                                          std::string path) {
  // A lookup that fails costs as much as one that opens, so the first part of
  // the path goes first: where pods have no limits it isn't there.
  const std::string top =
      absl::StrCat(mount, "/", path.substr(0, path.find('/')));
  if (access(top.c_str(), F_OK) != 0) {
    path.clear();
  }
  while (!path.empty()) {
    const std::string file = absl::StrCat(mount, "/", path, "/tasks");
    UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.ok()) {
      return fd;
    }
    if (errno != ENOENT) {
      return ErrnoError("open", file);
    }
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
  // Opening costs many times what a copy does.
  const auto root = layout.root_tasks.find(mount);
  UniqueFd fd(root != layout.root_tasks.end()
                  ? fcntl(root->second->get(), F_DUPFD_CLOEXEC, 0)
                  : open((mount + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open tasks of", mount);
  }
  return fd;
}

absl::Status WriteIfThere(const std::string& file, absl::string_view value) {
  const absl::Status status = WriteText(file, value);
  // ENODEV (removed since it was opened) has a code of its own in absl.
  if (absl::IsNotFound(status) ||
      (!status.ok() && access(file.c_str(), F_OK) != 0)) {
    return absl::OkStatus();
  }
  return status;
}

}  // namespace

absl::StatusOr<Cgroup> Cgroup::Create(const Layout& layout,
                                      const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  std::vector<std::string> made;
  const absl::Status status = MakeEverywhere(layout, path, made);
  if (!status.ok()) {
    RemoveMade(made);
    return Annotate(status, absl::StrCat("create cgroup ", path));
  }
  return Cgroup(layout, path);
}

absl::StatusOr<Cgroup> Cgroup::Open(const Layout& layout,
                                    const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  Cgroup cgroup(layout, path);
  RETURN_IF_ERROR(cgroup.OpenUnified().status());
  return cgroup;
}

std::string Cgroup::unified_path() const {
  return absl::StrCat(layout_->unified, "/", path_);
}

absl::StatusOr<UniqueFd> Cgroup::OpenUnified() const {
  const std::string path = unified_path();
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", path);
  }
  return fd;
}

absl::StatusOr<std::vector<UniqueFd>> Cgroup::OpenTasks() const {
  std::vector<UniqueFd> fds;
  if (unified_only_) {
    return fds;
  }
  for (const std::string& mount : AllV1Mounts(*layout_)) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenNearestTasks(*layout_, mount, path_));
    fds.push_back(std::move(fd));
  }
  return fds;
}

absl::Status Cgroup::Enter(int pid) const {
  return WriteText(unified_path() + "/cgroup.procs", absl::StrCat(pid));
}

absl::StatusOr<Cgroup> Cgroup::CreateUnifiedChild(
    const std::string& name) const {
  RETURN_IF_ERROR(CheckName(name));
  Cgroup child(*layout_, absl::StrCat(path_, "/", name));
  child.unified_only_ = true;
  const std::string path = child.unified_path();
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoError("create", path);
  }
  return child;
}

absl::Status Cgroup::Kill() const {
  return WriteIfThere(unified_path() + "/cgroup.kill", "1");
}

absl::Status Cgroup::Freeze(bool frozen) const {
  return WriteText(unified_path() + "/cgroup.freeze", frozen ? "1" : "0");
}

absl::StatusOr<bool> Cgroup::IsPopulated() const {
  absl::StatusOr<uint64_t> value =
      ReadKey(unified_path() + "/cgroup.events", "populated");
  if (absl::IsNotFound(value.status())) {
    return false;
  }
  RETURN_IF_ERROR(value.status());
  return *value != 0;
}

absl::Status Cgroup::WaitUntilEmpty(Deadline deadline) const {
  const std::string file = unified_path() + "/cgroup.events";
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoError("open", file);
  }
  for (;;) {
    ASSIGN_OR_RETURN(const bool populated, ReadPopulated(fd.get()));
    if (!populated) {
      return absl::OkStatus();
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat("wait for the end of ", path_, ": processes are left"));
    }
    pollfd event = {fd.get(), POLLPRI, 0};
    if (poll(&event, 1, deadline.poll_timeout()) < 0 && errno != EINTR) {
      return ErrnoError("poll", file);
    }
  }
}

absl::StatusOr<std::vector<int>> Cgroup::Processes() const {
  std::vector<int> pids;
  RETURN_IF_ERROR(CollectProcesses(unified_path(), 0, pids));
  return pids;
}

absl::StatusOr<uint64_t> Cgroup::OomKills() const {
  const auto v1 = layout_->v1.find("memory");
  if (v1 != layout_->v1.end()) {
    return ReadKey(absl::StrCat(v1->second, "/", path_, "/memory.oom_control"),
                   "oom_kill");
  }
  return ReadKey(unified_path() + "/memory.events", "oom_kill");
}

absl::StatusOr<uint64_t> Cgroup::MemoryUsage() const {
  const auto v1 = layout_->v1.find("memory");
  const std::string file =
      v1 != layout_->v1.end()
          ? absl::StrCat(v1->second, "/", path_, "/memory.usage_in_bytes")
          : unified_path() + "/memory.current";
  ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  uint64_t bytes = 0;
  if (!absl::SimpleAtoi(text, &bytes)) {
    return absl::InternalError(absl::StrCat("read ", file, ": not a number"));
  }
  return bytes;
}

absl::StatusOr<uint64_t> Cgroup::CpuUsage() const {
  const std::string file = unified_path() + "/cpu.stat";
  ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  // "usage_usec N" is the first line.
  const std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \n"));
  uint64_t microseconds = 0;
  if (words.size() < 2 || words[0] != "usage_usec" ||
      !absl::SimpleAtoi(words[1], &microseconds)) {
    return absl::InternalError(absl::StrCat("read ", file, ": malformed"));
  }
  return microseconds * 1000;
}

absl::Status Cgroup::Destroy() const {
  // v2 first: its directory is what Open() and recovery look for, but it
  // also is the one that tells whether anything still runs.
  const std::string unified = unified_path();
  if (rmdir(unified.c_str()) != 0 && errno != ENOENT) {
    ASSIGN_OR_RETURN(const bool populated, IsPopulated());
    if (populated) {
      return absl::FailedPreconditionError(
          absl::StrCat("remove cgroup ", path_, ": processes run in it"));
    }
    RETURN_IF_ERROR(RemoveTree(unified));
  }
  if (unified_only_) {
    return absl::OkStatus();
  }
  absl::Status result;
  for (const std::string& mount : AllV1Mounts(*layout_)) {
    result.Update(RemoveTree(absl::StrCat(mount, "/", path_)));
  }
  return result;
}

}  // namespace caisson::cgroup
