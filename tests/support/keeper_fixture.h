#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/base/thread_pool.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/pod/keeper.h"
#include "tests/support/machine.h"

namespace caisson::testing {

// What a call of a test may take.
inline Deadline Soon() {
  return Deadline::After(absl::Seconds(60));
}

// A keeper with real namespaces, cgroups and an EROFS layer holding Debian's
// busybox, driven without a daemon.  The destructor leaves nothing.
class KeeperFixture : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A new keeper without a pod.
  void StartKeeper();

  // Waits, with an end, until `condition` holds; it is asked with the lock of
  // the events.
  bool Await(const std::function<bool()>& condition);

  // A pod with a range of its own and all namespaces.
  pod::WithFds<keeper::v1::PodPlan> PodPlan();

  // A container that runs `argv` as root with the default capabilities; its
  // output goes to LogText().
  pod::WithFds<keeper::v1::ContainerPlan> ContainerPlan(
      const std::string& id, const std::vector<std::string>& argv);

  pod::WithFds<keeper::v1::ExecPlan> ExecPlan(
      const std::string& exec_id, const std::string& container_id,
      const std::vector<std::string>& argv);

  // Blocks until the container or exec has ended; its exit code.
  int AwaitExit(const std::string& id);

  // Whether its end was told.
  bool HasExited(const std::string& id);

  // A further cgroup of the test; its path.
  std::string AddCgroup(const std::string& name);

  // Of events that are kept here.
  pod::Keeper::Options KeeperOptions();

  // Runs `argv` to its end in a new container; its output.
  std::string Run(const std::vector<std::string>& argv);

  // What containers wrote: the log without the prefixes.
  std::string LogText() const;

  // Processes left in the test's cgroups.
  std::vector<int> ProcessesLeft();

  cgroup::Layout layout_;
  std::string cgroup_;  // relative path
  std::unique_ptr<TemporaryDirectory> directory_;
  std::unique_ptr<pod::KeeperFactory> factory_;
  std::unique_ptr<pod::Keeper> keeper_;
  int keeper_pid_ = 0;
  // The last that was told, and how often.
  keeper::v1::PodDescription described_;
  int times_described_ = 0;
  int ended_ = 0;
  uint32_t first_id_ = 1879048192;

 private:
  void MakeLayer();

  ThreadPool pool_{"events", 1};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> exit_codes_;
  std::vector<std::string> cgroups_;
  int containers_ = 0;
};

}  // namespace caisson::testing
