#pragma once

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/timers.h"
#include "shim/core/operation.h"
#include "shim/core/registry.h"
#include "shim/core/transitions.h"
#include "shim/ops/container_ending.h"

namespace caisson::ops {

// StopContainer: the stop signal, a grace period in which no thread waits, and
// then the kill, whatever the keeper does.
class StopContainer {
 public:
  StopContainer(core::Registry& registry, core::Transitions& transitions,
                ContainerEnding& ending, Timers& timers, ThreadPool& pool)
      : registry_(registry),
        transitions_(transitions),
        ending_(ending),
        timers_(timers),
        pool_(pool) {}

  // Finishes the operation when nothing of the container runs.  Its
  // StopBy() says when it is killed; whoever brings that forward meanwhile is
  // heard.  OK for one that has ended.
  void Run(const core::ContainerPtr& container,
           const core::OperationPtr& operation);

 private:
  // A stop that waits for its container, or for the moment of the kill.
  struct Wait {
    core::ContainerPtr container;
    core::OperationPtr operation;
    std::atomic<Timers::Id> timer = 0;
    std::atomic<bool> over = false;
  };

  // False when there is nothing to wait for.
  bool Ask(core::Container& container);
  void Await(const core::ContainerPtr& container,
             const core::OperationPtr& operation);
  void OnWoken(const std::shared_ptr<Wait>& wait);
  void Kill(const core::ContainerPtr& container,
            const core::OperationPtr& operation);

  core::Registry& registry_;
  core::Transitions& transitions_;
  ContainerEnding& ending_;
  Timers& timers_;
  ThreadPool& pool_;
};

}  // namespace caisson::ops
