#include "runtime/image/pull_queue.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "runtime/base/status.h"

namespace caisson::image {
namespace {

// Waits until `done` is readable.
absl::Status Await(int done, int cancel, Deadline deadline) {
  for (;;) {
    pollfd fds[] = {{done, POLLIN, 0}, {cancel, POLLIN, 0}};
    if (poll(fds, std::size(fds), deadline.poll_timeout()) < 0 &&
        errno != EINTR) {
      return ErrnoError("wait for", "pull");
    }
    if (fds[0].revents != 0) {
      return absl::OkStatus();
    }
    if (fds[1].revents != 0) {
      return absl::CancelledError("wait for pull: the caller gave up");
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError("wait for pull: not done in time");
    }
  }
}

}  // namespace

struct PullQueue::Fetch {
  std::string key;
  Work work;
  // eventfd(2)s that stay readable.
  UniqueFd done;
  UniqueFd cancel;
  // Guarded by the queue's mutex.
  int waiting = 0;
  std::optional<absl::StatusOr<std::string>> result;
};

class PullQueue::OpenTurn : public PullQueue::Turn {
 public:
  OpenTurn(PullQueue& queue, FetchPtr fetch)
      : queue_(queue), fetch_(std::move(fetch)) {}

  int cancel() const override { return fetch_->cancel.get(); }

  bool Close() override { return queue_.Close(fetch_); }

 private:
  PullQueue& queue_;
  const FetchPtr fetch_;
};

PullQueue::~PullQueue() {
  const MutexLock lock(mutex_);
  for (const FetchPtr& fetch : running_) {
    eventfd_write(fetch->cancel.get(), 1);
  }
}

absl::StatusOr<PullQueue::FetchPtr> PullQueue::Join(const std::string& key,
                                                    Work work) {
  const MutexLock lock(mutex_);
  if (const auto found = open_.find(key); found != open_.end()) {
    ++found->second->waiting;
    return found->second;
  }
  auto fetch = std::make_shared<Fetch>();
  fetch->key = key;
  fetch->work = std::move(work);
  fetch->done = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  fetch->cancel = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fetch->done.ok() || !fetch->cancel.ok()) {
    return ErrnoError("create", "eventfd");
  }
  fetch->waiting = 1;
  open_[key] = fetch;
  pool_.Post([this, fetch] { Do(fetch); });
  return fetch;
}

void PullQueue::Shut(const FetchPtr& fetch) {
  const auto found = open_.find(fetch->key);
  if (found != open_.end() && found->second == fetch) {
    open_.erase(found);
  }
}

bool PullQueue::Close(const FetchPtr& fetch) {
  const MutexLock lock(mutex_);
  Shut(fetch);
  return fetch->waiting > 0;
}

void PullQueue::Do(const FetchPtr& fetch) {
  {
    const MutexLock lock(mutex_);
    // All left while it waited for its turn.
    if (fetch->waiting == 0) {
      return;
    }
    running_.insert(fetch);
  }
  OpenTurn turn(*this, fetch);
  absl::StatusOr<std::string> result = fetch->work(turn);
  const MutexLock lock(mutex_);
  running_.erase(fetch);
  Shut(fetch);
  fetch->result = std::move(result);
  eventfd_write(fetch->done.get(), 1);
}

absl::StatusOr<std::string> PullQueue::Run(const std::string& key, Work work,
                                           Deadline deadline, int cancel) {
  ASSIGN_OR_RETURN(const FetchPtr fetch, Join(key, std::move(work)));
  const absl::Status waited = Await(fetch->done.get(), cancel, deadline);
  const MutexLock lock(mutex_);
  --fetch->waiting;
  if (fetch->result.has_value()) {
    return *fetch->result;
  }
  if (fetch->waiting == 0) {
    Shut(fetch);
    eventfd_write(fetch->cancel.get(), 1);
  }
  return waited;
}

}  // namespace caisson::image
