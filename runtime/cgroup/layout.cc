#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/hierarchy.h"

namespace caisson::cgroup {
namespace {

constexpr const char* kControllers[] = {
    "blkio",  "cpu",  "cpuacct", "cpuset",   "devices",    "freezer", "hugetlb",
    "memory", "misc", "net_cls", "net_prio", "perf_event", "pids",    "rdma"};

// proc_pid_mountinfo(5) writes blanks in octal.
std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 +
                                      (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

void AddLine(absl::string_view line, Layout& layout) {
  const std::vector<absl::string_view> halves =
      absl::StrSplit(line, absl::MaxSplits(" - ", 1));
  if (halves.size() != 2) {
    return;
  }
  const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
  const std::vector<absl::string_view> super = absl::StrSplit(halves[1], ' ');
  // A mount of a part of the tree is some container's view of it.
  if (mount.size() < 5 || super.size() < 3 || mount[3] != "/") {
    return;
  }
  if (super[0] == "cgroup2" && layout.unified.empty()) {
    layout.unified = Unescape(mount[4]);
  }
  if (super[0] != "cgroup") {
    return;
  }
  for (absl::string_view option : absl::StrSplit(super[2], ',')) {
    for (const char* controller : kControllers) {
      if (option == controller) {
        layout.v1.emplace(controller, Unescape(mount[4]));
      }
    }
  }
}

absl::Status MountUnified(const std::string& path) {
  std::string part;
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&part, "/", name);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError("create", part);
    }
  }
  if (mount("cgroup2", path.c_str(), "cgroup2",
            MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return ErrnoError("mount cgroup2 on", path);
  }
  return absl::OkStatus();
}

// Without one, whoever needs it opens it.
void OpenRoots(Layout& layout) {
  for (const auto& [controller, mount] : layout.v1) {
    UniqueFd fd(open((mount + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.ok() && layout.root_tasks.count(mount) == 0) {
      layout.root_tasks[mount] = std::make_shared<UniqueFd>(std::move(fd));
    }
  }
}

}  // namespace

absl::StatusOr<Layout> DetectLayout(const std::string& fallback_unified) {
  ASSIGN_OR_RETURN(const std::string text, ReadText("/proc/self/mountinfo"));
  Layout layout;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    AddLine(line, layout);
  }
  if (layout.unified.empty()) {
    const absl::Status status = MountUnified(fallback_unified);
    if (!status.ok()) {
      return absl::NotFoundError(absl::StrCat(
          "find cgroup2: none is mounted, and ", status.message()));
    }
    layout.unified = fallback_unified;
  }
  OpenRoots(layout);
  return layout;
}

}  // namespace caisson::cgroup
