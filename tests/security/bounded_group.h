#pragma once

#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"

namespace caisson::cri_test {

// A cgroup above those of pods, which bounds what runs in them: made as the
// kubelet would with the same cgroup driver, by directories or as a slice.
// Fails the test that runs where it can't do its work.
class BoundedGroup {
 public:
  // `driver` is the configuration's: "cgroupfs" or "systemd".  `name` is that
  // of a directory or a slice, whose hyphens say in which other it is.
  BoundedGroup(const cgroup::Layout& layout, const std::string& driver,
               const std::string& name);

  // What a pod's cgroup_parent says to be in it.
  std::string parent() const;

  // Below the mount point of each hierarchy.
  const std::string& path() const { return path_; }

  // Makes it where it isn't, and lets it have `most` processes, a number or
  // "max".
  void Allow(const std::string& most);

  // Host pids of all in it.
  std::vector<int> Processes() const;

  // Ends them one by one, by number and not by what is tested here, until
  // nothing is left.
  void KillAll();

  // Removes it, which must hold nothing more.
  void Remove();

 private:
  std::string PidsMax() const;

  const cgroup::Layout& layout_;
  std::string unit_;  // systemd's name of it; empty with cgroupfs
  std::string path_;
};

// The directory of cgroup `path` in each hierarchy.
std::vector<std::string> DirectoriesOf(const cgroup::Layout& layout,
                                       const std::string& path);

// Host pids of all in cgroup `path` and below; empty where it is not there.
std::vector<int> ProcessesBelow(const cgroup::Layout& layout,
                                const std::string& path);

}  // namespace caisson::cri_test
