#pragma once

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/event_loop.h"
#include "runtime/keeper/pod.h"

namespace caisson::keeper {

// The init of a PID namespace that a pod's containers share: it reaps, and
// does nothing else.  It has no capabilities, no files and an empty root, and
// dies with the keeper.
struct PodInit {
  UniqueFd pidfd;
  // The namespace, for setns(2).
  UniqueFd pid_namespace;
};

absl::StatusOr<PodInit> StartPodInit(const Pod& pod, EventLoop& loop);

}  // namespace caisson::keeper
