#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/timers.h"

namespace caisson::core {

// Work that changes a pod, a container or an image, from its request to its
// result.  It belongs to nobody who waits for it: it goes on, or is undone, by
// its own deadline.  Any thread.
class Operation {
 public:
  // The id that was made, or empty.
  using Result = absl::StatusOr<std::string>;

  // `name`: for errors, "stop container 3f2c".
  Operation(std::string name, Deadline deadline)
      : name_(std::move(name)), deadline_(deadline) {}

  const std::string& name() const { return name_; }

  // By when its work has ended; undoing has time of its own.
  Deadline deadline() const { return deadline_; }

  // What it does from here on: a literal such as "attach network".
  void Enter(const char* stage) ABSL_LOCKS_EXCLUDED(mutex_);

  // "attach network for 3.2s".
  std::string Where() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Nobody waits any more: `function` is called once, for work that nobody
  // wants then.  At once when that is so already.
  void OnAbandoned(std::function<void()> function) ABSL_LOCKS_EXCLUDED(mutex_);

  // Its end; once.  Answers those who wait.
  void Finish(Result result) { finish_(std::move(result)); }

  // Tests: called at each Enter(); a moment at which a daemon may die.
  static void SetStageHook(
      std::function<void(const Operation& operation, const char* stage)> hook);

 private:
  friend class OperationTable;

  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string name_;
  const Deadline deadline_;
  std::function<void(Result)> finish_;  // set by the table before the work

  mutable Mutex mutex_;
  const char* stage_ ABSL_GUARDED_BY(mutex_) = "wait for a thread";
  int64_t since_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_abandoned_ ABSL_GUARDED_BY(mutex_);
};

using OperationPtr = std::shared_ptr<Operation>;

// The operations that are under way.  A request whose key one of them has
// joins it and gets its result.  Any thread.
class OperationTable {
 public:
  // Called once, on any thread, which it must not hold up.
  using Done = std::function<void(const Operation::Result&)>;
  // Who waits, by number; 0: nobody does any more.
  using Ticket = uint64_t;

  struct Request {
    std::string key;   // empty: never joined
    std::string name;  // of Operation
    // How long its work may take.
    absl::Duration time;
    ThreadPool* pool;
  };

  // Calls Finish() sooner or later, on whatever thread.
  using Work = std::function<void(const OperationPtr& operation)>;

  explicit OperationTable(Timers& timers) : timers_(timers) {}

  // `done` gets the result, or DeadlineExceeded when `deadline` passes first,
  // which names the stage and how long the operation has been there.
  Ticket Run(Request request, Work work, Deadline deadline, Done done)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Whoever waits under that number waits no longer: `done` gets Cancelled,
  // unless it was called.
  void Leave(Ticket ticket) ABSL_LOCKS_EXCLUDED(mutex_);

  // Everybody gets Unavailable, now and from now on; the work goes on.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // "stop container 3f2c: await its end for 12s", one each.
  std::vector<std::string> Describe() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Waiter {
    std::string key;
    OperationPtr operation;
    Done done;
    Timers::Id timer = 0;
  };

  struct Entry {
    OperationPtr operation;
    std::vector<Ticket> tickets;
  };

  // The running one of that key, else a new one (`*fresh`).
  OperationPtr JoinOrMake(const Request& request, const std::string& key,
                          bool* fresh) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Answer(Ticket ticket, const Operation::Result& result)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnFinished(const std::string& key, const Operation::Result& result)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDeadline(Ticket ticket) ABSL_LOCKS_EXCLUDED(mutex_);

  Timers& timers_;
  mutable Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<Ticket, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::core
