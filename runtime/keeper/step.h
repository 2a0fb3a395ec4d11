#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"
#include "runtime/keeper/fault.h"

namespace caisson::keeper {

// One row of a table.  The order of a table is the design: a step may rely
// only on the steps above it.
template <typename Context, typename Result = absl::Status>
struct Step {
  const char* name;  // in errors, logs and timings
  Result (*run)(Context& context);
};

// What a step of the keeper's own says: it is done, it failed, or it is to be
// run again later.  The keeper itself waits for nothing but all at once.
class StepResult {
 public:
  // When to go on.  It may be for nothing: who waits looks again.
  struct Wait {
    int fd = -1;          // -1: when anything of the keeper's has changed
    uint32_t events = 0;  // of epoll_ctl(2)
    Deadline until = Deadline::Never();
  };

  StepResult(absl::Status status)  // NOLINT: as statuses are returned
      : status_(std::move(status)) {}

  static StepResult WhenReadable(int fd, Deadline until = Deadline::Never()) {
    return StepResult(Wait{fd, EPOLLIN, until});
  }

  static StepResult WhenWritable(int fd) {
    return StepResult(Wait{fd, EPOLLOUT, Deadline::Never()});
  }

  // When a process or a request has ended.
  static StepResult WhenChanged(Deadline until = Deadline::Never()) {
    return StepResult(Wait{-1, 0, until});
  }

  bool waits() const { return waits_; }

  bool ok() const { return !waits_ && status_.ok(); }

  const Wait& wait() const { return wait_; }

  const absl::Status& status() const { return status_; }

 private:
  explicit StepResult(const Wait& wait) : wait_(wait), waits_(true) {}

  absl::Status status_;
  Wait wait_;
  bool waits_ = false;
};

// Names of the steps of the tables, in order, for --list-steps.
using StepNames = std::vector<std::string>;

template <typename Context, typename Result>
void AppendNames(absl::Span<const Step<Context, Result>> steps,
                 StepNames& names) {
  for (const Step<Context, Result>& step : steps) {
    names.push_back(step.name);
  }
}

template <typename Context>
void AppendNames(absl::Span<const Step<Context>> steps, StepNames& names) {
  AppendNames<Context, absl::Status>(steps, names);
}

using StepTimes = google::protobuf::RepeatedPtrField<v1::StepTime>;

// After a step has run: records its time, or which step failed.
template <typename Context>
absl::Status EndStep(const char* name, int64_t begin,
                     const absl::Status& status, Context& context) {
  // A step that waits for a child reports the child's step as its own.
  if (!status.ok() && !context.failed.empty()) {
    return status;
  }
  if (!status.ok()) {
    context.failed = name;
    return Annotate(status, name);
  }
  Fault::Get().Pause(name);
  v1::StepTime& time = *context.times.Add();
  time.set_step(name);
  time.set_nanoseconds(MonotonicNanos() - begin);
  return absl::OkStatus();
}

// Runs the steps in order and appends each one's time to context.times.  The
// error starts with the name of the step that failed, which context.failed
// holds then.
template <typename Context>
absl::Status RunSteps(absl::Span<const Step<Context>> steps, Context& context) {
  for (const Step<Context>& step : steps) {
    const int64_t begin = MonotonicNanos();
    absl::Status status = Fault::Get().Check(step.name);
    if (status.ok()) {
      status = step.run(context);
    }
    RETURN_IF_ERROR(EndStep(step.name, begin, status, context));
  }
  return absl::OkStatus();
}

// Where a table is that may have to wait.
struct TableProgress {
  size_t step = 0;
  int64_t begun = 0;  // of that step, MonotonicNanos(); 0: not yet
};

// The same for a table whose steps may wait: goes on at context.progress, to
// the end or the next wait.
template <typename Context>
StepResult ResumeSteps(absl::Span<const Step<Context, StepResult>> steps,
                       Context& context) {
  TableProgress& at = context.progress;
  for (; at.step < steps.size(); ++at.step, at.begun = 0) {
    const Step<Context, StepResult>& step = steps[at.step];
    absl::Status status;
    if (at.begun == 0) {
      at.begun = MonotonicNanos();
      status = Fault::Get().Check(step.name);
    }
    if (status.ok()) {
      StepResult result = step.run(context);
      if (result.waits()) {
        return result;
      }
      status = result.status();
    }
    RETURN_IF_ERROR(EndStep(step.name, at.begun, status, context));
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper
