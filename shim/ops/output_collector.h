#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/base/timers.h"
#include "runtime/base/unique_fd.h"

namespace caisson::ops {

// What an exec wrote, as far as it is kept.
struct Output {
  std::string out;
  std::string err;
};

// Reads the output of all execs whose callers wait for the whole of it, on one
// thread.  Of one exec at most `kMostBytes` are kept, of all together
// `kMostOfAll`; what is written beyond is read and dropped, so that nobody
// blocks.  Any thread.
class OutputCollector {
 public:
  // An answer with it fits a message of 16 MiB, which is what kubelets take.
  static constexpr size_t kMostBytes = (16u << 20) - (64u << 10);
  static constexpr size_t kMostOfAll = 64u << 20;

  using Id = uint64_t;
  // Called once, on the collector's thread, which it must not hold up.
  using Done = std::function<void(Output output)>;

  static absl::StatusOr<std::unique_ptr<OutputCollector>> Create(
      Timers& timers);
  OutputCollector(const OutputCollector&) = delete;
  OutputCollector& operator=(const OutputCollector&) = delete;
  ~OutputCollector();

  // Begins to read both (non-blocking ends of pipes).
  absl::StatusOr<Id> Add(UniqueFd out, UniqueFd err, size_t most, Done done)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The exec has ended: `done` comes with the end of both pipes, or a moment
  // later, for a child that it left may hold them for ever.
  void SetEnded(Id id) ABSL_LOCKS_EXCLUDED(mutex_);
  // `done` comes now.
  void Stop(Id id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Job {
    std::array<UniqueFd, 2> pipes;
    std::array<std::string, 2> bytes;
    size_t most = 0;
    bool ended = false;
    Timers::Id timer = 0;
    Done done;
  };

  struct Finished {
    Output output;
    size_t most = 0;
    Done done;
  };

  explicit OutputCollector(Timers& timers) : timers_(timers) {}

  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);
  void OnReadable(Id id, int which) ABSL_LOCKS_EXCLUDED(mutex_);
  // One read; false at the end of the stream.
  bool Read(Job& job, size_t which) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Watch(Id id, Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those that are done: their results are taken out.
  std::vector<Finished> TakeFinished() ABSL_LOCKS_EXCLUDED(mutex_);
  void Wake();

  Timers& timers_;
  UniqueFd epoll_;
  UniqueFd wake_;
  Mutex mutex_;
  Id last_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<Id, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// Cuts both to `most` bytes together; the shorter one stays whole as long as
// it has no more than half.
void Fit(Output& output, size_t most);

}  // namespace caisson::ops
