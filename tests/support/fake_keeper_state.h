#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/pod/keeper.h"
#include "tests/support/fake_keeper.h"
#include "tests/support/sleeper.h"

namespace caisson::testing {

// What a fake keeper knows, and the thread that sees its processes end.  Any
// thread.
class FakeKeeperState : public std::enable_shared_from_this<FakeKeeperState> {
 public:
  FakeKeeperState(std::shared_ptr<FakeKeeperWorld> world,
                  pod::KeeperIdentity identity, UniqueFd pidfd,
                  pod::Keeper::Options options);

  // Starts and ends the thread; nothing is told after Close().
  void Begin();
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // Reads what it knew from its file.
  void Load() ABSL_LOCKS_EXCLUDED(mutex_);

  pod::KeeperIdentity identity() const { return identity_; }

  // Runs `work`, or what the faults of the call named so have in its place.
  // `id`: the container that it is about; its removal ends a call that hangs.
  absl::Status Call(const char* name, const std::string& id, Deadline deadline,
                    absl::FunctionRef<absl::Status()> work)
      ABSL_LOCKS_EXCLUDED(mutex_);

  void SetPod(const std::string& id) ABSL_LOCKS_EXCLUDED(mutex_);
  void AddContainer(const std::string& id, Process process)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void AddExec(const std::string& id, Process process)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Start(const std::string& id, int64_t started_at)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Signal(const std::string& id, int signal)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Forget(const std::string& id) ABSL_LOCKS_EXCLUDED(mutex_);
  keeper::v1::PodDescription Describe() ABSL_LOCKS_EXCLUDED(mutex_);
  void PostDescription() ABSL_LOCKS_EXCLUDED(mutex_);

  // The keeper's own process; KillAll: its containers, too.
  void Kill();
  void KillAll() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status AwaitEnd(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A container's process or an exec's.
  struct Child {
    UniqueFd pidfd;
    bool is_exec = false;
    bool ended = false;
  };

  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);
  // What has ended since the last look.
  void Look() ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const std::string& id, bool is_exec, int code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False when its keeper ended, or its container was removed, before.
  bool Wait(const std::string& id, Deadline deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Gone(const std::string& id, Deadline deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The container's process has ended, and all have heard of it.
  void EndBeforeAnswer(const std::string& id) ABSL_LOCKS_EXCLUDED(mutex_);
  keeper::v1::ContainerDescription* Find(const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<FakeKeeperWorld> world_;
  const pod::KeeperIdentity identity_;
  const UniqueFd pidfd_;
  const pod::Keeper::Options options_;

  Mutex mutex_;
  CondVar changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  keeper::v1::PodDescription pod_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Child> children_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> removed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::testing
