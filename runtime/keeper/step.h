#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/keeper/fault.h"

namespace caisson::keeper {

// One row of a table.  The order of a table is the design: a step may rely
// only on the steps above it.
template <typename Context>
struct Step {
  const char* name;  // in errors, logs and timings
  absl::Status (*run)(Context& context);
};

// Names of the steps of the tables, in order, for --list-steps.
using StepNames = std::vector<std::string>;

template <typename Context>
void AppendNames(absl::Span<const Step<Context>> steps, StepNames& names) {
  for (const Step<Context>& step : steps) {
    names.push_back(step.name);
  }
}

using StepTimes = google::protobuf::RepeatedPtrField<v1::StepTime>;

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
    // A step that waits for a child reports the child's step as its own.
    if (!status.ok() && !context.failed.empty()) {
      return status;
    }
    if (!status.ok()) {
      context.failed = step.name;
      return Annotate(status, step.name);
    }
    Fault::Get().Pause(step.name);
    v1::StepTime& time = *context.times.Add();
    time.set_step(step.name);
    time.set_nanoseconds(MonotonicNanos() - begin);
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper
