#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace caisson::pod {

// What this daemon and the keepers it forks speak.  A keeper of an older
// daemon may say one less.
inline constexpr uint32_t kProtocolVersion = 1;

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

// Which process a keeper is, for the record of its pod: enough to find it
// again, and never another that has its number by then.
struct KeeperIdentity {
  int pid = 0;
  // Field 22 of /proc/PID/stat (proc(5)): clock ticks since the boot.
  uint64_t start_ticks = 0;
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

  // A new keeper without a pod.
  struct NewKeeper {
    UniqueFd socket;  // connected
    UniqueFd pidfd;
    KeeperIdentity identity;
  };

  // DeadlineExceeded when the fork server does not answer in time; it is
  // killed then and started anew by the next call.
  virtual absl::StatusOr<NewKeeper> Fork(Deadline deadline) = 0;

  // The fork server's own pid: not a keeper, though it is in their cgroup.
  virtual int server_pid() = 0;
};

// Runs a task some time later, on another thread, after the tasks that were
// posted before it.  Never runs it within the call.
using Post = std::function<void(std::function<void()>)>;

// What a keeper tells unasked.  Each is called by `Post`; none after `ended`.
struct KeeperEvents {
  std::function<void(const keeper::v1::Exited&)> exited;
  // What the keeper has now: after each connection that was made anew, for
  // ends that happened meanwhile are told by nothing else.
  std::function<void(const keeper::v1::PodDescription&)> described;
  // Its process has ended, as its pidfd says.  Once.
  std::function<void()> ended;
};

// caissond's end of the conversation with one pod's keeper.  Any thread; calls
// run side by side.
//
// Each call ends by its deadline: DeadlineExceeded then, and the keeper's
// later answer is dropped (fds closed).  Otherwise it returns the keeper's own
// error with its message (the step's name first), or Unavailable: the process
// has ended; the connection broke (it is made anew by itself, unless the
// process has ended); or the keeper answers nothing at all for longer than
// kHungAfter, and then at once, saying which call it owes since when.
class Keeper {
 public:
  // How long a keeper may be silent while it owes an answer to a call or to
  // the ping that follows one (which it answers whatever its children do).
  static constexpr absl::Duration kHungAfter = absl::Seconds(3);

  struct Options {
    // Where it listens (AF_UNIX), once it has a pod.
    std::string socket_path;
    KeeperEvents events;
    Post post;
  };

  // Takes a keeper that has just been forked.
  static std::unique_ptr<Keeper> Adopt(KeeperFactory::NewKeeper fresh,
                                       Options options);

  // Takes up a keeper of an earlier daemon.  Does not wait: `described` comes
  // when it has answered, and until then calls wait for that within their
  // deadline.  NotFound: no such process any more.
  static absl::StatusOr<std::unique_ptr<Keeper>> Resume(
      const KeeperIdentity& identity, Options options);

  // A listening socket at `path` (mode 0600) for PodPlan.listener_fd; a
  // leftover of that name is replaced.
  static absl::StatusOr<UniqueFd> Listen(const std::string& path);

  // Leaves the keeper alone, which goes on.  No event is posted afterwards;
  // one that was posted before may still run.
  virtual ~Keeper() = default;

  virtual KeeperIdentity identity() const = 0;

  // OK, or the Unavailable that a call would get now.
  virtual absl::Status CheckResponsive() = 0;

  struct PodResult {
    keeper::v1::PodCreated created;
    UniqueFd network;  // not ok() when the host's
  };

  virtual absl::StatusOr<PodResult> CreatePod(WithFds<keeper::v1::PodPlan> plan,
                                              Deadline deadline) = 0;
  // Sysctls of network interfaces, once these are there: names with dots.
  virtual absl::Status WriteSysctls(const keeper::v1::WriteSysctls& call,
                                    Deadline deadline) = 0;
  virtual absl::StatusOr<keeper::v1::ContainerCreated> CreateContainer(
      WithFds<keeper::v1::ContainerPlan> plan, Deadline deadline) = 0;
  // `hook_state`: of keeper.proto, for a container with start_hooks.
  virtual absl::StatusOr<keeper::v1::ContainerStarted> StartContainer(
      const std::string& container_id, std::string hook_state,
      Deadline deadline) = 0;
  // NotFound when it isn't running any more.
  virtual absl::Status SignalContainer(const std::string& container_id,
                                       int signal, Deadline deadline) = 0;
  virtual absl::StatusOr<keeper::v1::ExecStarted> Exec(
      WithFds<keeper::v1::ExecPlan> plan, Deadline deadline) = 0;
  virtual absl::Status ReopenLog(const std::string& container_id, UniqueFd log,
                                 Deadline deadline) = 0;
  // Kills what is left of it, also of one that is being created (whose call
  // fails then), and forgets it; OK for an unknown one.
  virtual absl::Status RemoveContainer(const std::string& container_id,
                                       Deadline deadline) = 0;

  struct Description {
    keeper::v1::PodDescription pod;
    UniqueFd network;
  };

  virtual absl::StatusOr<Description> Describe(Deadline deadline) = 0;
  // Asks it to end its pod and itself; returns when the process has ended.
  virtual absl::Status Shutdown(Deadline deadline) = 0;
  // SIGKILL to the keeper alone: its containers are killed by their cgroups.
  virtual void Kill() = 0;
  // DeadlineExceeded while the process is there.
  virtual absl::Status AwaitEnd(Deadline deadline) = 0;

  virtual absl::Status InjectFault(const std::string& step, int error,
                                   Deadline deadline) = 0;
  virtual absl::Status PauseAfter(const std::string& step,
                                  Deadline deadline) = 0;
};

}  // namespace caisson::pod
