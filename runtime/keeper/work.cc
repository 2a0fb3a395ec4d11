#include "runtime/keeper/work.h"

#include <utility>
#include <vector>

namespace caisson::keeper {

WorkSet::WorkSet(EventLoop& loop) : loop_(loop) {
  loop_.SetAfterRound([this] { ResumeChanged(); });
}

WorkSet::Number WorkSet::Start(std::unique_ptr<Work> work, Done done) {
  const Number number = ++last_;
  Running& running = works_[number];
  running.work = std::move(work);
  running.done = std::move(done);
  Resume(number);
  return number;
}

void WorkSet::Cancel(Number number, const absl::Status& why) {
  const auto found = works_.find(number);
  if (found != works_.end()) {
    StopWaiting(found->second);
    found->second.work->Cancel(why);
    Resume(number);
  }
}

void WorkSet::Resume(Number number) {
  const auto found = works_.find(number);
  if (found == works_.end()) {
    return;
  }
  Running& running = found->second;
  StopWaiting(running);
  StepResult result = running.work->Resume();
  if (result.waits()) {
    running.wait = result.wait();
    result = Await(number, running);
    if (result.ok()) {
      return;
    }
    // Without a way to be told it can't go on: it ends itself, if it can.
    running.work->Cancel(result.status());
    running.wait = {-1, 0, Deadline::After(absl::Milliseconds(10))};
    [[maybe_unused]] const absl::Status waiting = Await(number, running);
    return;
  }
  const Done done = std::move(running.done);
  works_.erase(number);
  changed_ = true;
  done(result.status());
}

absl::Status WorkSet::Await(Number number, Running& running) {
  running.waits = true;
  if (!running.wait.until.is_never()) {
    running.timer =
        loop_.RunAt(running.wait.until, [this, number] { Resume(number); });
  }
  if (running.wait.fd < 0) {
    return absl::OkStatus();
  }
  return loop_.Add(running.wait.fd, running.wait.events,
                   [this, number] { Resume(number); });
}

void WorkSet::StopWaiting(Running& running) {
  if (!running.waits) {
    return;
  }
  running.waits = false;
  if (running.wait.fd >= 0) {
    loop_.Remove(running.wait.fd);
  }
  if (running.timer != 0) {
    loop_.Cancel(std::exchange(running.timer, 0));
  }
}

void WorkSet::ResumeChanged() {
  while (changed_) {
    changed_ = false;
    std::vector<Number> waiting;
    for (const auto& [number, running] : works_) {
      if (running.waits && running.wait.fd < 0) {
        waiting.push_back(number);
      }
    }
    for (const Number number : waiting) {
      Resume(number);
    }
  }
}

}  // namespace caisson::keeper
