#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/pod/keeper.h"
#include "shim/ops/keepers.h"
#include "tests/support/faults.h"

namespace caisson::testing {

// What fake keepers have in common, and the hands of a test on them.
struct FakeKeeperWorld {
  // "fork" and, in words with "_", the calls of pod::Keeper.
  Faults faults;
  // What a call waits for one that answers nothing (Keeper::kHungAfter).
  absl::Duration hung_after = absl::Milliseconds(200);
  // Containers go on whatever signal they get but SIGKILL.
  std::atomic<bool> deaf = false;
  // Nothing is told of ends: the connection is broken.
  std::atomic<bool> mute = false;
  // A file for each keeper, by its pid: its PodDescription.
  std::string directory;

  // With which code a container or exec ends that is killed from here on.
  void SetExitCode(const std::string& id, int code) ABSL_LOCKS_EXCLUDED(mutex) {
    MutexLock lock(mutex);
    exit_codes[id] = code;
  }

  int ExitCode(const std::string& id, int otherwise)
      ABSL_LOCKS_EXCLUDED(mutex) {
    MutexLock lock(mutex);
    const auto found = exit_codes.find(id);
    return found == exit_codes.end() ? otherwise : found->second;
  }

  Mutex mutex;
  std::map<std::string, int> exit_codes ABSL_GUARDED_BY(mutex);
};

// Keepers that do nothing but what a test says: each is a process that sleeps,
// with containers that are processes that sleep in their cgroups.  They
// outlive the daemon as real ones do, with what they know in a file.
class FakeKeepers : public pod::KeeperFactory {
 public:
  // In the cgroup `keepers` of the layout, which outlives this.
  FakeKeepers(const cgroup::Layout& layout, const std::string& keepers,
              const std::string& directory);

  absl::StatusOr<NewKeeper> Fork(Deadline deadline) override;

  int server_pid() override { return 0; }

  ops::KeeperClients clients();

  FakeKeeperWorld& world() { return *world_; }

 private:
  const std::shared_ptr<FakeKeeperWorld> world_;
  UniqueFd cgroup_;
};

// The keeper tells all that it has, as after each new connection.
void Redescribe(pod::Keeper& keeper);

}  // namespace caisson::testing
