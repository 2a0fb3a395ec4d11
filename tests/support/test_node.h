#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "shim/config/config.h"
#include "shim/ops/paths.h"
#include "tests/support/machine.h"

namespace caisson::testing {

// A machine's part that tests of the daemon's operations have to themselves:
// directories, and cgroups (real ones, below one of the test's).  It outlives
// the daemons that a test has on it.  The destructor leaves nothing, not even
// processes.
class TestNode {
 public:
  // Once, before the process has threads: a mount namespace of its own, and
  // the children of daemons that die become its own.  False: needs root.
  static bool PrepareProcess();

  TestNode();
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;
  ~TestNode();

  const std::string& path() const { return directory_.path(); }

  const cgroup::Layout& layout() const { return layout_; }

  config::Config config() const;

  std::string database() const { return config().root + "/pods.db"; }

  // A reboot: no process, no cgroup, no state, no mount; another boot id.
  void Reboot();

  const std::string& boot_id() const { return boot_id_; }

  // What is left of pods and containers: names of cgroups, files, mounts and
  // addresses, with how many processes.  Empty when nothing is.
  std::vector<std::string> Leftovers() const;

  // All processes in its cgroups.
  std::vector<int> Processes() const;

 private:
  void EndProcesses();
  void Unmount();

  const TemporaryDirectory directory_;
  cgroup::Layout layout_;
  std::string boot_id_ = "boot-1";
};

}  // namespace caisson::testing
