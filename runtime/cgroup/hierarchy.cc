#include "runtime/cgroup/hierarchy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/directory.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace caisson::cgroup {
namespace {

constexpr size_t kMaxText = 1 << 20;
constexpr int kMaxDepth = 256;
constexpr absl::Duration kBusyBound = absl::Milliseconds(500);

// What is accounted for every container and not by v2: CPU time is, on any
// machine (cpu.stat exists without the controller).
constexpr const char* kPlaced[] = {"memory"};
// Joined only when a limit asks for it: each mkdir costs 20 to 40
// microseconds, and as much again for removal.
constexpr const char* kLazy[] = {"cpu",     "cpuacct", "cpuset",
                                 "devices", "hugetlb", "pids"};

constexpr const char* kDelegated[] = {"cpu",    "memory",  "pids",
                                      "cpuset", "hugetlb", "io"};

void AddMounts(const Layout& layout, const char* const* first,
               const char* const* last, std::vector<std::string>& mounts) {
  for (; first != last; ++first) {
    const auto found = layout.v1.find(*first);
    if (found != layout.v1.end() && std::find(mounts.begin(), mounts.end(),
                                              found->second) == mounts.end()) {
      mounts.push_back(found->second);
    }
  }
}

std::set<std::string> ReadControllers(const std::string& file) {
  absl::StatusOr<std::string> text = ReadText(file);
  if (!text.ok()) {
    return {};
  }
  return absl::StrSplit(*text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

// One level: hands on the controllers that the directory has itself.
void HandDown(const std::string& directory) {
  const auto have = ReadControllers(directory + "/cgroup.controllers");
  const auto given = ReadControllers(directory + "/cgroup.subtree_control");
  std::vector<std::string> missing;
  for (const char* controller : kDelegated) {
    if (have.count(controller) > 0 && given.count(controller) == 0) {
      missing.push_back(absl::StrCat("+", controller));
    }
  }
  const std::string file = directory + "/cgroup.subtree_control";
  if (missing.empty() || WriteText(file, absl::StrJoin(missing, " ")).ok()) {
    return;
  }
  // All or nothing is the kernel's rule for one write.
  for (const std::string& controller : missing) {
    (void)WriteText(file, controller);
  }
}

absl::Status RemoveChildren(const std::string& directory, int depth) {
  if (depth > kMaxDepth) {
    return absl::FailedPreconditionError(
        absl::StrCat("remove ", directory, ": nested too deeply"));
  }
  absl::StatusOr<std::vector<std::string>> children = ListChildren(directory);
  if (!children.ok()) {
    return absl::IsNotFound(children.status()) ? absl::OkStatus()
                                               : children.status();
  }
  for (const std::string& child : *children) {
    const std::string path = absl::StrCat(directory, "/", child);
    if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
      RETURN_IF_ERROR(RemoveChildren(path, depth + 1));
      // A failure here shows as EBUSY of the parent, which is tried again.
      (void)rmdir(path.c_str());
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> PlacementMounts(const Layout& layout) {
  std::vector<std::string> mounts;
  AddMounts(layout, std::begin(kPlaced), std::end(kPlaced), mounts);
  return mounts;
}

std::vector<std::string> AllV1Mounts(const Layout& layout) {
  std::vector<std::string> mounts = PlacementMounts(layout);
  AddMounts(layout, std::begin(kLazy), std::end(kLazy), mounts);
  return mounts;
}

absl::Status MakeDirectories(const std::string& mount, const std::string& path,
                             std::vector<std::string>& made) {
  // The parent is nearly always there: one system call a hierarchy.
  const std::string full = absl::StrCat(mount, "/", path);
  if (mkdir(full.c_str(), 0755) == 0) {
    made.push_back(full);
    return absl::OkStatus();
  }
  if (errno == EEXIST) {
    return absl::OkStatus();
  }
  if (errno != ENOENT) {
    return ErrnoError("create", full);
  }
  std::string part = mount;
  for (absl::string_view name : absl::StrSplit(path, '/')) {
    absl::StrAppend(&part, "/", name);
    if (mkdir(part.c_str(), 0755) == 0) {
      made.push_back(part);
    } else if (errno != EEXIST) {
      return ErrnoError("create", part);
    }
  }
  return absl::OkStatus();
}

void EnableControllers(const std::string& mount, const std::string& path) {
  const auto have =
      ReadControllers(absl::StrCat(mount, "/", path, "/cgroup.controllers"));
  if (have.count("cpu") + have.count("memory") + have.count("pids") == 3) {
    return;
  }
  std::string part = mount;
  for (absl::string_view name : absl::StrSplit(path, '/')) {
    HandDown(part);
    absl::StrAppend(&part, "/", name);
  }
}

absl::Status RemoveTree(const std::string& directory) {
  const Deadline deadline = Deadline::After(kBusyBound);
  absl::Duration pause = absl::Microseconds(200);
  for (;;) {
    if (rmdir(directory.c_str()) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    if (errno != EBUSY && errno != ENOTEMPTY) {
      return ErrnoError("remove", directory);
    }
    if (deadline.passed()) {
      return absl::FailedPreconditionError(
          absl::StrCat("remove ", directory, ": processes are left in it"));
    }
    RETURN_IF_ERROR(RemoveChildren(directory, 0));
    if (rmdir(directory.c_str()) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(10));
  }
}

absl::StatusOr<std::string> ReadText(const std::string& file) {
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", file);
  }
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0) {
      // The cgroup went away between open and read.
      if (errno == ENODEV) {
        return absl::NotFoundError(absl::StrCat("read ", file, ": is gone"));
      }
      return ErrnoError("read", file);
    }
    if (n == 0) {
      return text;
    }
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxText) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", file, ": larger than ", kMaxText, " bytes"));
    }
  }
}

absl::Status WriteText(const std::string& file, absl::string_view value) {
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return ErrnoError("open", file);
  }
  if (write(fd.get(), value.data(), value.size()) < 0) {
    return ErrnoError(absl::StrCat("write ", value, " to"), file);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ReadKey(const std::string& file,
                                 absl::string_view key) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    uint64_t value = 0;
    if (absl::StartsWith(line, absl::StrCat(key, " ")) &&
        absl::SimpleAtoi(line.substr(key.size() + 1), &value)) {
      return value;
    }
  }
  return absl::NotFoundError(absl::StrCat("read ", file, ": no ", key));
}

absl::StatusOr<std::vector<std::string>> ListChildren(
    const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                   ListDirectory(directory));
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries) {
    if (entry.type == DT_DIR) {
      names.push_back(entry.name);
    }
  }
  return names;
}

}  // namespace caisson::cgroup
