#include "shim/ops/detach_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"

namespace caisson::ops {
namespace {

constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Minutes(5);
constexpr absl::Duration kTryTime = absl::Minutes(2);

}  // namespace

void DetachQueue::Add(const core::PodPtr& pod, Then then) {
  MutexLock lock(mutex_);
  Entry& entry = entries_[pod->id()];
  timers_.Cancel(entry.timer);
  entry.pod = pod;
  entry.then = std::max(entry.then, then);
  entry.pause = kFirstPause;
  Schedule(pod->id(), entry);
}

void DetachQueue::Schedule(const std::string& id, Entry& entry) {
  entry.timer = timers_.At(Deadline::After(entry.pause),
                           [this, id] { pool_.Post([this, id] { Try(id); }); });
  entry.pause = std::min(entry.pause * 2, kLongestPause);
}

void DetachQueue::Try(const std::string& id) {
  core::PodPtr pod;
  Then then = Then::kNothing;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
      return;
    }
    pod = found->second.pod;
    then = found->second.then;
  }
  const Deadline deadline = Deadline::After(kTryTime);
  OnTried(id, then == Then::kRemove ? ending_.Remove(pod, deadline)
                                    : ending_.Stop(pod, deadline));
}

void DetachQueue::OnTried(const std::string& id, const absl::Status& status) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) {
    return;
  }
  // Aborted: somebody else has removed it meanwhile.
  if (status.ok() || absl::IsAborted(status)) {
    entries_.erase(found);
    return;
  }
  if (found->second.error != status.message()) {
    LogWarning(absl::StrCat("end pod ", id, ": ", status.message()));
    found->second.error = std::string(status.message());
  }
  Schedule(id, found->second);
}

std::map<std::string, std::string> DetachQueue::Describe() const {
  MutexLock lock(mutex_);
  std::map<std::string, std::string> lines;
  for (const auto& [id, entry] : entries_) {
    lines[id] = entry.error;
  }
  return lines;
}

}  // namespace caisson::ops
