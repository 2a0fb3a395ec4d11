#pragma once

#include "runtime/base/thread_pool.h"

namespace caisson::core {

// The threads of the daemon's work, apart by what may hold it up: plugins that
// hang leave those alone that start pods of the host's network, as the agent
// is that they wait for; and what starts leaves alone what ends.
struct Lanes {
  ThreadPool start{"start", 16};
  ThreadPool attach{"attach", 12};
  ThreadPool stop{"stop", 12};
  ThreadPool detach{"detach", 12};
  ThreadPool exec{"exec", 16};
  ThreadPool images{"images", 6};
  // Reads of many files.
  ThreadPool query{"query", 2};
  // What keepers tell.
  ThreadPool events{"events", 2};
};

}  // namespace caisson::core
