#pragma once

#include <string>

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child_message.h"
#include "runtime/keeper/reaper.h"
#include "runtime/keeper/step.h"

// What the keeper hears of a child that it has forked, and how it ends one.
namespace caisson::keeper {

// What a child reports until it is ready or fails.
struct ChildReport {
  pid_t init_pid = 0;
  UniqueFd init;
  v1::ChildMessage message;
  // Its last message has come, or its root.
  bool complete = false;
  UniqueFd terminal;
  // Lent to its create_hooks.
  UniqueFd root;
};

// The child's channel was closed before the child was ready.
absl::Status ChildEnded();

// Reads up to the first message with `ready` or a root, or the end of the
// channel.  An error of the child is returned as its status, `failed` the
// step; report.init is set when it was reported, also on failure.  At the end
// of the channel `ended` is returned.
StepResult AwaitReport(ChildChannel& channel, ChildReport& report,
                       std::string& failed, const absl::Status& ended);

// For a report that is complete and has no init: an init may be quicker than
// the `stage` that made it is to report it.
StepResult AwaitInit(ChildChannel& channel, int stage, ChildReport& report);

// Waits for the end of the process, and reaps it.
StepResult AwaitEnd(UniqueFd& pidfd, Reaper& reaper);

// What a failed table leaves: ends the stage and the init that it made, also
// one that nobody has heard of yet.  What will not end within a few seconds is
// left to the reaper.
class EndOfChildren {
 public:
  // Not by cgroup.kill: an exec's cgroup may be the container's, and on some
  // kernels (6.18 is one) nothing can be born into a cgroup any more that was
  // killed once, which a retry of a creation would meet.
  EndOfChildren(Reaper& reaper, UniqueFd stage, ChildChannel channel,
                UniqueFd init);

  StepResult Resume();

 private:
  StepResult AwaitStage();
  void ReadInit();

  Reaper& reaper_;
  UniqueFd stage_;
  ChildChannel channel_;
  UniqueFd init_;
  const Deadline patience_;
  const Deadline end_;
};

}  // namespace caisson::keeper
