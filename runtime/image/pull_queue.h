#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/thread_pool.h"
#include "runtime/base/unique_fd.h"

namespace caisson::image {

// Fetches that several callers may wait for, some at a time.  Each runs in a
// thread of its own, so that a caller can give up while the others wait on.
// Any thread.
class PullQueue {
 public:
  // A fetch, as its work sees it.
  class Turn {
   public:
    // Readable: nobody waits for it any more.
    virtual int cancel() const = 0;
    // Nobody joins from here on; whether anybody waits yet.
    virtual bool Close() = 0;

   protected:
    ~Turn() = default;
  };

  using Work = std::function<absl::StatusOr<std::string>(Turn& turn)>;

  explicit PullQueue(int most) : pool_("pull", most) {}

  PullQueue(const PullQueue&) = delete;
  PullQueue& operator=(const PullQueue&) = delete;
  // Cancels what runs, and waits for it.  Nobody may be in Run().
  ~PullQueue();

  // Joins the open fetch of that key, or begins one with `work`; its result.
  // DeadlineExceeded, Cancelled (`cancel`, borrowed, became readable; -1:
  // none): the others wait on, and the last one that leaves cancels the fetch.
  absl::StatusOr<std::string> Run(const std::string& key, Work work,
                                  Deadline deadline, int cancel);

 private:
  struct Fetch;
  class OpenTurn;
  using FetchPtr = std::shared_ptr<Fetch>;

  absl::StatusOr<FetchPtr> Join(const std::string& key, Work work)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Do(const FetchPtr& fetch) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Close(const FetchPtr& fetch) ABSL_LOCKS_EXCLUDED(mutex_);
  void Shut(const FetchPtr& fetch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  // Those that can be joined.
  std::map<std::string, FetchPtr> open_ ABSL_GUARDED_BY(mutex_);
  std::set<FetchPtr> running_ ABSL_GUARDED_BY(mutex_);
  // Last: its threads use the others.
  ThreadPool pool_;
};

}  // namespace caisson::image
