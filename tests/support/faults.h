#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "runtime/base/mutex.h"

namespace caisson::testing {

// What a fake does in place of a call, by the call's name.
enum class Fault {
  kNone,
  kRefuse,       // an error, and nothing is done
  kFailAfter,    // all is done, but the answer is an error
  kHang,         // nothing is done, and no answer comes by the deadline
  kAnswerLate,   // all is done, but the answer comes after the deadline
  kStop,         // the fake answers nothing from here on, as after SIGSTOP
  kDie,          // the fake's process ends in the midst of it
  kWrongAnswer,  // OK, though nothing was done
  kEndFirst,     // what was begun has ended before the answer, which is OK
};

// Which of the next calls go wrong.  Any thread.
class Faults {
 public:
  static constexpr int kAlways = 1 << 30;

  // The next `times` calls of that name do.
  void Set(const std::string& call, Fault fault, int times = 1)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    faults_[call] = {fault, times};
  }

  void Clear() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    faults_.clear();
  }

  // Called at each call of all fakes; a moment at which a daemon may die.  Set
  // before there are threads.
  static std::function<void()>& Hook() {
    static auto* const hook = new std::function<void()>;
    return *hook;
  }

  // What this one does; it is counted.
  Fault Next(const std::string& call) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (Hook() != nullptr) {
      Hook()();
    }
    MutexLock lock(mutex_);
    ++calls_[call];
    const auto found = faults_.find(call);
    if (found == faults_.end() || found->second.times == 0) {
      return Fault::kNone;
    }
    --found->second.times;
    return found->second.fault;
  }

  int calls(const std::string& call) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return calls_[call];
  }

 private:
  struct Planned {
    Fault fault;
    int times;
  };

  Mutex mutex_;
  std::map<std::string, Planned> faults_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::testing
