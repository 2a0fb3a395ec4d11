#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/state/v1/state.pb.h"
#include "runtime/base/mutex.h"
#include "shim/core/container.h"
#include "shim/core/pod.h"

namespace caisson::core {

// A state that was reached: of a container, or of a pod when `container` is
// null.  The facts are those of that moment.
struct Event {
  std::string pod_id;
  PodFactsPtr pod;
  ContainerFactsPtr container;
  bool removed = false;
};

// Who wants to know of changes.  Events of one object come in the order in
// which they happened.
class EventBus {
 public:
  using Listener = std::function<void(const Event&)>;

  // Called on the thread of the change, which must not wait: it is held up
  // meanwhile.  Never forgotten.
  void Subscribe(Listener listener) ABSL_LOCKS_EXCLUDED(mutex_);

  void Publish(const Event& event) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Mutex mutex_;
  std::vector<Listener> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::core
