#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/pod/keeper.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/execs.h"
#include "shim/ops/node.h"

namespace caisson::ops {

// What becomes of the ends that keepers tell of, and of the end of a keeper.
class Exits {
 public:
  Exits(const Node& node, core::Registry& registry,
        core::Transitions& transitions, Execs& execs, ThreadPool& pool)
      : node_(node),
        registry_(registry),
        transitions_(transitions),
        execs_(execs),
        pool_(pool) {}

  // To be called on the pod's own queue.
  void OnExited(const core::PodPtr& pod, const keeper::v1::Exited& exited);
  void OnDescribed(const core::PodPtr& pod,
                   const keeper::v1::PodDescription& description);
  // A keeper that ends unasked takes its pod with it.
  void OnKeeperEnded(const core::PodPtr& pod);

  // The container has ended: what is left in its cgroup is killed, and why it
  // ended is found out.  Any thread; of several ends the first counts.
  void End(core::Container& container, const core::Exit& exit);

 private:
  // Those that the keeper still does not have when it is asked now.
  void EndMissing(const core::PodPtr& pod,
                  std::vector<core::ContainerPtr> missing);
  void TakeUp(core::Container& container,
              const keeper::v1::ContainerDescription& description);
  // A container that nobody heard of.
  void Forget(const core::PodPtr& pod, const std::string& id);

  const Node& node_;
  core::Registry& registry_;
  core::Transitions& transitions_;
  Execs& execs_;
  ThreadPool& pool_;  // for what may wait
};

// The exit code of a container whose keeper can't tell it.
inline constexpr int kUnknownExitCode = 255;
// Of one that was killed (128 + SIGKILL), as shells tell it.
inline constexpr int kKilledExitCode = 137;

}  // namespace caisson::ops
