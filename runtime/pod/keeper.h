#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"

namespace caisson::pod {

// A plan and the fds its *_fd fields count (1-based) into.
template <typename Message>
struct WithFds {
  Message message;
  std::vector<UniqueFd> fds;

  // Appends `fd` and returns its position, for a *_fd field.
  uint32_t Attach(UniqueFd fd) {
    fds.push_back(std::move(fd));
    return static_cast<uint32_t>(fds.size());
  }
};

// The fork server: one process a daemon, running caisson-keeper from a sealed
// memfd.  It forks keepers, which so share one copy of the program's pages,
// are outside the daemon's cgroup, and outlive the daemon.  Any thread.
class KeeperFactory {
 public:
  struct Options {
    std::string binary;  // path of caisson-keeper
    // Directory in the unified hierarchy; empty: the daemon's own.
    std::string keepers_cgroup;
    // Where that can't be said before: moves a new fork server, by its pid.
    std::function<absl::Status(int pid)> place;
    bool allow_faults = false;  // accept InjectFault (tests)
  };

  static absl::StatusOr<std::unique_ptr<KeeperFactory>> Start(
      const Options& options);
  virtual ~KeeperFactory() = default;

  // A connected socket to a new keeper without a pod, and its pid (for
  // reports; it may be reused after the keeper's end).
  struct NewKeeper {
    UniqueFd socket;
    int pid = 0;
  };

  virtual absl::StatusOr<NewKeeper> Fork() = 0;
};

// caissond's end of the conversation with one pod's keeper.  Thread-safe;
// calls of several threads run one after the other in the keeper.
//
// Every call returns the keeper's error with its message (the step's name
// first); Unavailable when the keeper is gone.  No call has a deadline of its
// own: the keeper's steps are bounded but for a hung filesystem.
class Keeper {
 public:
  // Called on the keeper's reader thread; must not call the keeper back.
  using OnExited = std::function<void(const keeper::v1::Exited&)>;
  // The connection ended: the keeper died or was shut down.  Called once.
  using OnGone = std::function<void()>;

  // Takes the connected socket of a new keeper, or of one found again by
  // Connect().
  static std::unique_ptr<Keeper> Adopt(UniqueFd socket, OnExited on_exited,
                                       OnGone on_gone);

  // Connects to the listener of a running keeper (AF_UNIX path).  NotFound
  // when nobody listens there.
  static absl::StatusOr<UniqueFd> Connect(const std::string& path);

  // A listening socket at `path` (mode 0600) for PodPlan.listener_fd; a
  // leftover of that name is replaced.
  static absl::StatusOr<UniqueFd> Listen(const std::string& path);

  // Joins the reader; the keeper itself goes on.
  virtual ~Keeper() = default;

  struct PodResult {
    keeper::v1::PodCreated created;
    UniqueFd network;  // not ok() when the host's
  };

  virtual absl::StatusOr<PodResult> CreatePod(
      WithFds<keeper::v1::PodPlan> plan) = 0;

  virtual absl::StatusOr<keeper::v1::ContainerCreated> CreateContainer(
      WithFds<keeper::v1::ContainerPlan> plan) = 0;
  // `hook_state`: of keeper.proto, for a container with start_hooks.
  virtual absl::StatusOr<keeper::v1::ContainerStarted> StartContainer(
      const std::string& container_id, std::string hook_state = "") = 0;
  // NotFound when it isn't running any more.
  virtual absl::Status SignalContainer(const std::string& container_id,
                                       int signal) = 0;
  virtual absl::StatusOr<keeper::v1::ExecStarted> Exec(
      WithFds<keeper::v1::ExecPlan> plan) = 0;
  virtual absl::Status ReopenLog(const std::string& container_id,
                                 UniqueFd log) = 0;
  // Kills what is left of it and forgets it; OK for an unknown one.
  virtual absl::Status RemoveContainer(const std::string& container_id) = 0;

  struct Description {
    keeper::v1::PodDescription pod;
    UniqueFd network;
  };

  virtual absl::StatusOr<Description> Describe() = 0;
  // Returns when the keeper has ended.
  virtual absl::Status Shutdown() = 0;
  virtual absl::Status InjectFault(const std::string& step, int error) = 0;
  virtual absl::Status PauseAfter(const std::string& step) = 0;
};

}  // namespace caisson::pod
