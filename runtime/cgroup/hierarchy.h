#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/cgroup/cgroup.h"

// Directories and files of one hierarchy, by absolute path.  Nothing here is
// written by a container: cgroup filesystems are read-only for it.
namespace caisson::cgroup {

// The v1 mount points in which every cgroup gets a directory, each once.
std::vector<std::string> PlacementMounts(const Layout& layout);
// Those, and the ones that Apply() may have added to.
std::vector<std::string> AllV1Mounts(const Layout& layout);

// Makes `mount`/`path` with its parents; what was new is added to `made`,
// outermost first.
absl::Status MakeDirectories(const std::string& mount, const std::string& path,
                             std::vector<std::string>& made);

// v2: makes the controllers that the root offers usable in `path`.  What
// can't be had is no error here: Apply() names the file that is missing.
void EnableControllers(const std::string& mount, const std::string& path);

// Removes the directory and those below it, deepest first, waiting briefly
// for the kernel to let go of ended tasks.  OK when absent.
absl::Status RemoveTree(const std::string& directory);

// Whole text of a file, at most 1 MiB; NotFound when absent.
absl::StatusOr<std::string> ReadText(const std::string& file);
absl::Status WriteText(const std::string& file, absl::string_view value);

// The number behind `key` in a file of "key number" lines.
absl::StatusOr<uint64_t> ReadKey(const std::string& file,
                                 absl::string_view key);

// Names of the directories right below `directory`.
absl::StatusOr<std::vector<std::string>> ListChildren(
    const std::string& directory);

}  // namespace caisson::cgroup
