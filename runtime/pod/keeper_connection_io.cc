#include <sys/epoll.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/pod/keeper_connection.h"
#include "runtime/pod/keeper_hub.h"
#include "runtime/pod/keeper_process.h"
#include "runtime/pod/keeper_socket.h"

namespace caisson::pod {
namespace {

using Clock = std::chrono::steady_clock;

// One keeper that tells much must not keep the hub from the others.
constexpr int kFramesAtOnce = 64;
// All that a process has left: it sends no more.
constexpr int kAllFrames = 1 << 20;

constexpr absl::Duration kFirstRetry = absl::Milliseconds(5);
constexpr absl::Duration kLastRetry = absl::Seconds(1);
// A connection that lasted so long was no short one.
constexpr std::chrono::seconds kStable(1);

}  // namespace

absl::StatusOr<uint64_t> KeeperConnection::Send(Kind kind,
                                                const std::string& name,
                                                keeper::v1::Request request,
                                                std::vector<UniqueFd> fds,
                                                Outcome* outcome) {
  const uint64_t id = ++last_id_;
  request.set_id(id);
  ASSIGN_OR_RETURN(const uint64_t frame,
                   writer_.Add(request.SerializeAsString(), std::move(fds)));
  const absl::Status flushed = Flush();
  if (!flushed.ok() && writer_.Withdraw(frame)) {
    return Annotate(flushed, "call keeper");
  }
  owed_[id] = {kind, name, absl::Now(), frame, outcome};
  return id;
}

absl::Status KeeperConnection::Flush() {
  const absl::StatusOr<bool> all = writer_.Write(socket_.get());
  if (absl::IsUnavailable(all.status())) {
    // What it sent before is read first, by the hub, which then hears of the
    // end too.
    return absl::OkStatus();
  }
  // Of the frame itself: an fd that is none.
  RETURN_IF_ERROR(all.status());
  if (awaits_room_ == *all) {
    awaits_room_ = !*all;
    KeeperHub::Get().Change(socket_watch_, socket_.get(),
                            EPOLLIN | (awaits_room_ ? uint32_t{EPOLLOUT} : 0U));
  }
  return absl::OkStatus();
}

void KeeperConnection::Use(UniqueFd socket) {
  socket_ = std::move(socket);
  awaits_room_ = false;
  const uint64_t incarnation = ++incarnation_;
  socket_watch_ = KeeperHub::Get().Add(
      socket_.get(), EPOLLIN,
      [weak = weak_from_this(), incarnation](uint32_t events) {
        if (const auto it = weak.lock(); it != nullptr) {
          it->OnSocket(incarnation, events);
        }
      });
  keeper::v1::Request hello;
  hello.mutable_hello()->set_version(kProtocolVersion);
  [[maybe_unused]] absl::Status sent =
      Send(Kind::kHello, "hello", std::move(hello), {}, nullptr).status();
  if (state_ == State::kConnecting) {
    keeper::v1::Request describe;
    describe.mutable_describe();
    sent = Send(Kind::kDescribe, "describe", std::move(describe), {}, nullptr)
               .status();
  }
}

void KeeperConnection::Connect() {
  absl::StatusOr<UniqueFd> socket = ConnectToKeeper(socket_path_);
  if (socket.ok()) {
    Use(std::move(socket).value());
  } else {
    // The pidfd ends this, when that is the reason.
    RetryLater();
  }
}

void KeeperConnection::RetryLater() {
  retry_after_ = std::clamp(retry_after_ * 2, kFirstRetry, kLastRetry);
  KeeperHub::Get().RunAt(
      Deadline::After(retry_after_), [weak = weak_from_this()] {
        const auto it = weak.lock();
        if (it == nullptr) {
          return;
        }
        const MutexLock lock(it->mutex_);
        if (it->state_ == State::kConnecting && !it->socket_.ok()) {
          it->Connect();
        }
      });
}

void KeeperConnection::Drop(const absl::Status& status) {
  if (socket_.ok()) {
    KeeperHub::Get().Remove(socket_watch_, socket_.get());
    socket_.reset();
  }
  ++incarnation_;
  reader_ = FrameReader();
  writer_ = FrameWriter();
  ping_owed_ = false;
  for (auto& [id, owed] : owed_) {
    if (owed.outcome != nullptr) {
      owed.outcome->status = status;
      owed.outcome->done = true;
    }
  }
  owed_.clear();
  changed_.NotifyAll();
}

void KeeperConnection::Break(absl::string_view why) {
  Drop(absl::UnavailableError(
      absl::StrCat("call keeper: the connection broke: ", why)));
  if (socket_path_.empty()) {
    state_ = State::kBroken;
    return;
  }
  const Moment now = Clock::now();
  if (state_ == State::kReady) {
    state_ = State::kConnecting;
    silent_since_ = now;
    // Two daemons at once would else take it from each other without a pause.
    if (now > ready_at_ + kStable) {
      retry_after_ = absl::ZeroDuration();
    }
  }
  RetryLater();
}

void KeeperConnection::WatchProcess() {
  process_watch_ = KeeperHub::Get().Add(
      pidfd_.get(), EPOLLIN, [weak = weak_from_this()](uint32_t) {
        if (const auto it = weak.lock(); it != nullptr) {
          it->OnProcessEnd();
        }
      });
}

void KeeperConnection::OnSocket(uint64_t incarnation, uint32_t events) {
  const MutexLock lock(mutex_);
  if (incarnation != incarnation_ || !socket_.ok()) {
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    if (const absl::Status flushed = Flush(); !flushed.ok()) {
      Break(flushed.message());
      return;
    }
  }
  if ((events & ~uint32_t{EPOLLOUT}) == 0) {
    return;
  }
  if (const absl::Status read = ReadFrames(kFramesAtOnce); !read.ok()) {
    Break(read.message());
  }
}

void KeeperConnection::OnProcessEnd() {
  const MutexLock lock(mutex_);
  if (state_ == State::kEnded || state_ == State::kClosed) {
    return;
  }
  if (socket_.ok()) {
    // Its last words come before its end.
    [[maybe_unused]] const absl::Status read = ReadFrames(kAllFrames);
  }
  Drop(absl::UnavailableError("call keeper: it has ended"));
  KeeperHub::Get().Remove(process_watch_, pidfd_.get());
  process_watch_ = 0;
  PostEvent([](const KeeperEvents& events) {
    if (events.ended != nullptr) {
      events.ended();
    }
  });
  state_ = State::kEnded;
  changed_.NotifyAll();
}

absl::Status KeeperConnection::ReadFrames(int most) {
  for (int i = 0; i < most; ++i) {
    ASSIGN_OR_RETURN(std::optional<Frame> frame, reader_.Read(socket_.get()));
    if (!frame.has_value()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(OnFrame(std::move(frame).value()));
  }
  return absl::OkStatus();
}

absl::Status KeeperConnection::OnFrame(Frame frame) {
  keeper::v1::FromKeeper message;
  if (!message.ParseFromString(frame.bytes)) {
    return absl::InternalError("malformed message");
  }
  heard_at_ = Clock::now();
  silent_since_ = heard_at_;
  if (message.has_exited()) {
    PostEvent([exited = std::move(*message.mutable_exited())](
                  const KeeperEvents& events) {
      if (events.exited != nullptr) {
        events.exited(exited);
      }
    });
    return absl::OkStatus();
  }
  if (message.has_reply()) {
    return OnReply({std::move(*message.mutable_reply()), std::move(frame.fds)});
  }
  return absl::OkStatus();
}

absl::Status KeeperConnection::OnReply(Answer answer) {
  const auto found = owed_.find(answer.reply.id());
  if (found == owed_.end()) {
    return absl::OkStatus();
  }
  const Owed owed = std::move(found->second);
  owed_.erase(found);
  switch (owed.kind) {
    case Kind::kPing:
      ping_owed_ = false;
      changed_.NotifyAll();
      return absl::OkStatus();
    case Kind::kHello:
      return OnWelcome(answer.reply);
    case Kind::kDescribe:
      return OnDescription(std::move(answer.reply));
    case Kind::kCall:
      break;
  }
  if (owed.outcome == nullptr) {
    return absl::OkStatus();
  }
  if (answer.reply.has_error()) {
    owed.outcome->status =
        absl::Status(static_cast<absl::StatusCode>(answer.reply.error().code()),
                     answer.reply.error().message());
  }
  owed.outcome->answer = std::move(answer);
  owed.outcome->done = true;
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status KeeperConnection::OnWelcome(const keeper::v1::Reply& reply) {
  // Of the time before versions: it knows no Hello.
  if (!reply.has_welcome()) {
    return absl::OkStatus();
  }
  if (reply.welcome().pid() != identity_.pid) {
    return absl::InternalError(absl::StrCat("process ", reply.welcome().pid(),
                                            " answers in place of ",
                                            identity_.pid));
  }
  if (reply.welcome().version() + 1 < kProtocolVersion) {
    return absl::InternalError(
        absl::StrCat("it speaks version ", reply.welcome().version()));
  }
  return absl::OkStatus();
}

absl::Status KeeperConnection::OnDescription(keeper::v1::Reply reply) {
  if (!reply.has_description()) {
    return absl::InternalError("it does not describe its pod");
  }
  PostEvent([description = std::move(*reply.mutable_description())](
                const KeeperEvents& events) {
    if (events.described != nullptr) {
      events.described(description);
    }
  });
  state_ = State::kReady;
  ready_at_ = Clock::now();
  changed_.NotifyAll();
  return absl::OkStatus();
}

void KeeperConnection::PostEvent(
    std::function<void(const KeeperEvents&)> event) {
  if (post_ == nullptr || state_ == State::kClosed) {
    return;
  }
  post_([events = events_, event = std::move(event)] { event(*events); });
}

}  // namespace caisson::pod
