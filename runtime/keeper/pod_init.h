#pragma once

#include <optional>

#include "absl/status/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/child_report.h"
#include "runtime/keeper/pod.h"
#include "runtime/keeper/work.h"

namespace caisson::keeper {

// The init of a PID namespace that a pod's containers share: it reaps, and
// does nothing else.  It has no capabilities, no files and an empty root, and
// dies with the keeper.
struct PodInit {
  pid_t pid = 0;
  UniqueFd pidfd;
  // The namespace, for setns(2).
  UniqueFd pid_namespace;
};

// Makes it.
class PodInitWork : public Work {
 public:
  // `pod` and `init`, which it fills, outlive this.
  PodInitWork(const Pod& pod, Reaper& reaper, PodInit& init)
      : pod_(pod), reaper_(reaper), init_(init) {}

  StepResult Resume() override;
  void Cancel(const absl::Status& why) override;

 private:
  absl::Status Begin();
  StepResult Await();
  absl::Status Finish();

  const Pod& pod_;
  Reaper& reaper_;
  PodInit& init_;
  UniqueFd stage_;
  ChildChannel channel_;
  ChildReport report_;
  absl::Status status_;
  std::optional<EndOfChildren> end_;
};

}  // namespace caisson::keeper
