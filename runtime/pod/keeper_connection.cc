#include "runtime/pod/keeper_connection.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/kernel/process.h"
#include "runtime/pod/keeper_hub.h"

namespace caisson::pod {
namespace {

using Clock = std::chrono::steady_clock;

// A call that takes longer is followed by a ping.
constexpr std::chrono::seconds kPingAfter(1);
// What may wait for a keeper that reads nothing, bytes.
constexpr size_t kMostQueued = 64u << 20;

absl::Status Ended() {
  return absl::UnavailableError("call keeper: it has ended");
}

// What is not begun when nobody waits for it any more.
bool MakesSomething(const keeper::v1::Request& request) {
  return request.has_create_pod() || request.has_create_container() ||
         request.has_start_container() || request.has_exec();
}

}  // namespace

UniqueFd KeeperConnection::Answer::Take(uint32_t position) {
  return position == 0 || position > fds.size() ? UniqueFd()
                                                : std::move(fds[position - 1]);
}

KeeperConnection::KeeperConnection(const KeeperIdentity& identity,
                                   UniqueFd pidfd, Keeper::Options options)
    : identity_(identity),
      pidfd_(std::move(pidfd)),
      socket_path_(std::move(options.socket_path)),
      post_(std::move(options.post)),
      events_(std::make_shared<const KeeperEvents>(std::move(options.events))),
      silent_since_(Clock::now()),
      heard_at_(silent_since_) {}

std::shared_ptr<KeeperConnection> KeeperConnection::Create(
    const KeeperIdentity& identity, UniqueFd pidfd, UniqueFd socket,
    Keeper::Options options) {
  auto connection = std::make_shared<KeeperConnection>(
      identity, std::move(pidfd), std::move(options));
  const MutexLock lock(connection->mutex_);
  connection->WatchProcess();
  if (socket.ok()) {
    connection->state_ = State::kReady;
    connection->Use(std::move(socket));
  } else {
    connection->Connect();
  }
  return connection;
}

absl::StatusOr<KeeperConnection::Answer> KeeperConnection::Call(
    const std::string& name, keeper::v1::Request request,
    std::vector<UniqueFd> fds, Deadline deadline) {
  if (MakesSomething(request) && !deadline.is_never()) {
    request.set_deadline(deadline.at().time_since_epoch().count());
  }
  Outcome outcome;
  const MutexLock lock(mutex_);
  RETURN_IF_ERROR(AwaitReady(deadline));
  if (writer_.bytes() > kMostQueued) {
    return absl::ResourceExhaustedError(
        "call keeper: too much waits to be read by it");
  }
  ASSIGN_OR_RETURN(
      const uint64_t id,
      Send(Kind::kCall, name, std::move(request), std::move(fds), &outcome));
  RETURN_IF_ERROR(AwaitOutcome(id, outcome, deadline));
  RETURN_IF_ERROR(outcome.status);
  return std::move(outcome.answer);
}

absl::Status KeeperConnection::AwaitReady(Deadline deadline) {
  for (;;) {
    RETURN_IF_ERROR(Refusal());
    if (state_ == State::kReady) {
      return absl::OkStatus();
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError(
          "call keeper: the connection is not there yet");
    }
    changed_.WaitUntil(mutex_, Deadline::Earlier(deadline, Deadline(HungAt())));
  }
}

absl::Status KeeperConnection::AwaitOutcome(uint64_t id, const Outcome& outcome,
                                            Deadline deadline) {
  const Moment sent = Clock::now();
  while (!outcome.done) {
    const Moment now = Clock::now();
    if (now >= HungAt()) {
      const absl::Status hung = HungError();
      GiveUp(id, sent);
      return hung;
    }
    if (deadline.passed()) {
      const std::string name = owed_[id].name;
      GiveUp(id, sent);
      return absl::DeadlineExceededError(
          absl::StrCat("call keeper: no answer to ", name, " for ",
                       absl::FormatDuration(absl::FromChrono(now - sent))));
    }
    const Moment quiet_since = std::max(sent, heard_at_);
    if (now >= quiet_since + kPingAfter) {
      Ping(quiet_since);
    }
    const Moment wake =
        ping_owed_ ? HungAt() : std::max(sent, heard_at_) + kPingAfter;
    changed_.WaitUntil(mutex_, Deadline::Earlier(deadline, Deadline(wake)));
  }
  return absl::OkStatus();
}

void KeeperConnection::GiveUp(uint64_t id, Moment sent) {
  const auto found = owed_.find(id);
  if (found == owed_.end()) {
    return;
  }
  if (writer_.Withdraw(found->second.frame)) {
    owed_.erase(found);
  } else {
    found->second.outcome = nullptr;
  }
  Ping(std::max(sent, heard_at_));
}

void KeeperConnection::Ping(Moment since) {
  if (ping_owed_ || state_ != State::kReady) {
    return;
  }
  keeper::v1::Request request;
  request.mutable_ping();
  ping_owed_ = true;
  silent_since_ = since;
  [[maybe_unused]] const absl::Status sent =
      Send(Kind::kPing, "ping", std::move(request), {}, nullptr).status();
}

KeeperConnection::Moment KeeperConnection::HungAt() const {
  return ping_owed_ || state_ == State::kConnecting
             ? silent_since_ + absl::ToChronoNanoseconds(Keeper::kHungAfter)
             : Moment::max();
}

absl::Status KeeperConnection::HungError() {
  // The oldest but what follows by itself.
  const Owed* oldest = nullptr;
  for (const auto& [id, owed] : owed_) {
    if (oldest == nullptr ||
        (owed.kind == Kind::kCall && oldest->kind != Kind::kCall)) {
      oldest = &owed;
    }
  }
  const std::string owes =
      oldest == nullptr
          ? "and takes no connection"
          : absl::StrCat("and owes an answer to ", oldest->name, " since ",
                         absl::FormatTime(absl::RFC3339_sec, oldest->sent_at,
                                          absl::UTCTimeZone()));
  return absl::UnavailableError(absl::StrCat(
      "call keeper: it has said nothing for ",
      absl::FormatDuration(absl::Trunc(
          absl::FromChrono(Clock::now() - silent_since_), absl::Seconds(1))),
      " ", owes));
}

absl::Status KeeperConnection::Refusal() {
  switch (state_) {
    case State::kEnded:
      return Ended();
    case State::kClosed:
      return absl::UnavailableError("call keeper: closed");
    case State::kBroken:
      return absl::UnavailableError("call keeper: the connection is broken");
    case State::kConnecting:
    case State::kReady:
      break;
  }
  return Clock::now() >= HungAt() ? HungError() : absl::OkStatus();
}

absl::Status KeeperConnection::CheckResponsive() {
  const MutexLock lock(mutex_);
  return Refusal();
}

absl::Status KeeperConnection::AwaitEnd(Deadline deadline) {
  const MutexLock lock(mutex_);
  while (state_ != State::kEnded) {
    if (state_ == State::kClosed) {
      return absl::UnavailableError("wait for keeper: closed");
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError(absl::StrCat(
          "wait for keeper: process ", identity_.pid, " is still there"));
    }
    changed_.WaitUntil(mutex_, deadline);
  }
  return absl::OkStatus();
}

void KeeperConnection::Kill() {
  const absl::Status killed = kernel::SignalProcess(pidfd_.get(), SIGKILL);
  // NotFound: it has ended.
  if (!killed.ok() && !absl::IsNotFound(killed)) {
    LogWarning(absl::StrCat("kill keeper: ", killed.message()));
  }
}

void KeeperConnection::Close() {
  const MutexLock lock(mutex_);
  Drop(absl::UnavailableError("call keeper: closed"));
  if (process_watch_ != 0) {
    KeeperHub::Get().Remove(process_watch_, pidfd_.get());
    process_watch_ = 0;
  }
  state_ = State::kClosed;
  changed_.NotifyAll();
}

}  // namespace caisson::pod
