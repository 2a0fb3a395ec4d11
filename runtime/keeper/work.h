#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "runtime/keeper/event_loop.h"
#include "runtime/keeper/step.h"

namespace caisson::keeper {

// Something that may take its time, and is done beside all else: a request, or
// what the keeper does by itself.
class Work {
 public:
  virtual ~Work() = default;

  // Goes on to its end or the next wait; not called again after its end.
  virtual StepResult Resume() = 0;

  // It is to end soon, and to fail with `why`.  Resume() is called next.
  virtual void Cancel(const absl::Status& why) = 0;
};

// All that is going on.  Single-threaded.
class WorkSet {
 public:
  using Number = uint64_t;
  // What came of it; the work is gone by then.
  using Done = std::function<void(const absl::Status&)>;

  // Installs itself as what the loop does after each round.
  explicit WorkSet(EventLoop& loop);

  // Runs it as far as it gets; `done` may be called before this returns.
  Number Start(std::unique_ptr<Work> work, Done done);

  // Nothing for one that has ended.
  void Cancel(Number number, const absl::Status& why);

  // Resumes those that wait for a change, soon.
  void Changed() { changed_ = true; }

  size_t size() const { return works_.size(); }

 private:
  struct Running {
    std::unique_ptr<Work> work;
    Done done;
    StepResult::Wait wait;
    bool waits = false;
    EventLoop::Timer timer = 0;
  };

  void Resume(Number number);
  absl::Status Await(Number number, Running& running);
  void StopWaiting(Running& running);
  void ResumeChanged();

  EventLoop& loop_;
  Number last_ = 0;
  std::map<Number, Running> works_;
  bool changed_ = false;
};

}  // namespace caisson::keeper
