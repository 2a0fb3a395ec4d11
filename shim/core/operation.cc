#include "shim/core/operation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"

namespace caisson::core {
namespace {

using Hook = std::function<void(const Operation&, const char*)>;

Hook& StageHook() {
  // Set before there are threads.
  static Hook* const hook = new Hook;
  return *hook;
}

}  // namespace

void Operation::SetStageHook(Hook hook) {
  StageHook() = std::move(hook);
}

void Operation::Enter(const char* stage) {
  {
    MutexLock lock(mutex_);
    stage_ = stage;
    since_nanos_ = MonotonicNanos();
  }
  if (StageHook() != nullptr) {
    StageHook()(*this, stage);
  }
}

std::string Operation::Where() const {
  MutexLock lock(mutex_);
  const absl::Duration time =
      absl::Nanoseconds(MonotonicNanos() - since_nanos_);
  return absl::StrCat(
      stage_, " for ",
      absl::FormatDuration(absl::Floor(time, absl::Milliseconds(1))));
}

void Operation::OnAbandoned(std::function<void()> function) {
  {
    MutexLock lock(mutex_);
    if (!abandoned_) {
      on_abandoned_ = std::move(function);
      return;
    }
  }
  function();
}

void Operation::Abandon() {
  std::function<void()> function;
  {
    MutexLock lock(mutex_);
    abandoned_ = true;
    function.swap(on_abandoned_);
  }
  if (function != nullptr) {
    function();
  }
}

OperationPtr OperationTable::JoinOrMake(const Request& request,
                                        const std::string& key, bool* fresh) {
  Entry& entry = entries_[key];
  *fresh = entry.operation == nullptr;
  if (*fresh) {
    entry.operation = std::make_shared<Operation>(
        request.name, Deadline::After(request.time));
    entry.operation->Enter("wait for a thread");
    entry.operation->finish_ = [this, key](const Operation::Result& result) {
      OnFinished(key, result);
    };
  }
  return entry.operation;
}

OperationTable::Ticket OperationTable::Run(Request request, Work work,
                                           Deadline deadline, Done done) {
  OperationPtr operation;
  bool fresh = false;
  Ticket ticket = 0;
  {
    MutexLock lock(mutex_);
    if (!closed_) {
      ticket = ++last_;
      // One that nobody can join has a key of its own.
      const std::string key =
          request.key.empty() ? absl::StrCat("#", ticket) : request.key;
      operation = JoinOrMake(request, key, &fresh);
      entries_[key].tickets.push_back(ticket);
      waiters_[ticket] = {
          key, operation, std::move(done),
          timers_.At(deadline, [this, ticket] { OnDeadline(ticket); })};
    }
  }
  if (ticket == 0) {
    done(absl::UnavailableError(
        absl::StrCat(request.name, ": the daemon is stopping")));
    return 0;
  }
  if (fresh) {
    request.pool->Post([work = std::move(work),
                        operation = std::move(operation)] { work(operation); });
  }
  return ticket;
}

void OperationTable::Answer(Ticket ticket, const Operation::Result& result) {
  Waiter waiter;
  bool abandoned = false;
  {
    MutexLock lock(mutex_);
    const auto found = waiters_.find(ticket);
    if (found == waiters_.end()) {
      return;
    }
    waiter = std::move(found->second);
    waiters_.erase(found);
    const auto entry = entries_.find(waiter.key);
    // Another operation may have the key by now.
    if (entry != entries_.end() &&
        entry->second.operation == waiter.operation) {
      std::erase(entry->second.tickets, ticket);
      abandoned = entry->second.tickets.empty();
    }
  }
  timers_.Cancel(waiter.timer);
  waiter.done(result);
  if (abandoned) {
    waiter.operation->Abandon();
  }
}

void OperationTable::OnFinished(const std::string& key,
                                const Operation::Result& result) {
  std::vector<Ticket> tickets;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      return;
    }
    tickets.swap(found->second.tickets);
    entries_.erase(found);
  }
  for (const Ticket ticket : tickets) {
    Answer(ticket, result);
  }
}

void OperationTable::OnDeadline(Ticket ticket) {
  OperationPtr operation;
  {
    MutexLock lock(mutex_);
    const auto found = waiters_.find(ticket);
    if (found == waiters_.end()) {
      return;
    }
    operation = found->second.operation;
  }
  Answer(ticket,
         absl::DeadlineExceededError(absl::StrCat(operation->name(),
                                                  ": the caller's time is "
                                                  "over: ",
                                                  operation->Where())));
}

void OperationTable::Leave(Ticket ticket) {
  Answer(ticket, absl::CancelledError("the caller went away"));
}

void OperationTable::Close() {
  std::vector<Ticket> tickets;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    for (const auto& [ticket, waiter] : waiters_) {
      tickets.push_back(ticket);
    }
  }
  for (const Ticket ticket : tickets) {
    Answer(ticket, absl::UnavailableError("the daemon is stopping"));
  }
}

std::vector<std::string> OperationTable::Describe() const {
  MutexLock lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [key, entry] : entries_) {
    lines.push_back(
        absl::StrCat(entry.operation->name(), ": ", entry.operation->Where()));
  }
  return lines;
}

}  // namespace caisson::core
