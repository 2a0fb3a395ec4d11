#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/deadline.h"
#include "runtime/base/frame.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/pod/keeper.h"

namespace caisson::pod {

// The requests and replies of one keeper, over a socket that is made anew when
// it breaks while the process lives.  Whether that is so its pidfd says, never
// the socket.  Any thread; the hub's does what comes from the keeper.
class KeeperConnection : public std::enable_shared_from_this<KeeperConnection> {
 public:
  struct Answer {
    keeper::v1::Reply reply;
    std::vector<UniqueFd> fds;

    // The fd of a *_fd field; not ok() for none.
    UniqueFd Take(uint32_t position);
  };

  // `socket`: of a keeper just forked; not ok(): it is connected to where the
  // options say.
  static std::shared_ptr<KeeperConnection> Create(
      const KeeperIdentity& identity, UniqueFd pidfd, UniqueFd socket,
      Keeper::Options options);

  KeeperConnection(const KeeperIdentity& identity, UniqueFd pidfd,
                   Keeper::Options options);

  // Sends the request and waits for its reply.  `name`: of the call, for
  // errors.  Statuses are those of Keeper.
  absl::StatusOr<Answer> Call(const std::string& name,
                              keeper::v1::Request request,
                              std::vector<UniqueFd> fds, Deadline deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Status CheckResponsive() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status AwaitEnd(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  void Kill();

  // No event is posted from here on; waits for nothing.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  const KeeperIdentity& identity() const { return identity_; }

 private:
  enum class State {
    kConnecting,  // until the keeper has described itself
    kReady,
    kBroken,  // and there is no way back
    kEnded,   // its process
    kClosed,
  };

  // What came of a call.
  struct Outcome {
    bool done = false;
    absl::Status status;
    Answer answer;
  };

  enum class Kind { kCall, kHello, kPing, kDescribe };

  // A request without a reply.
  struct Owed {
    Kind kind;
    std::string name;
    absl::Time sent_at;  // for messages only
    uint64_t frame;      // of writer_
    Outcome* outcome;    // null: nobody waits any more
  };

  using Moment = Deadline::TimePoint;

  // keeper_connection.cc: what callers do.
  absl::Status AwaitReady(Deadline deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AwaitOutcome(uint64_t id, const Outcome& outcome,
                            Deadline deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUp(uint64_t id, Moment sent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends a ping unless one is on its way.  `since`: when the call that it
  // follows was sent.
  void Ping(Moment since) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refusal() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status HungError() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When it counts as hung, if it stays silent; max(): it owes nothing.
  Moment HungAt() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // keeper_connection_io.cc: what the socket brings.
  absl::StatusOr<uint64_t> Send(Kind kind, const std::string& name,
                                keeper::v1::Request request,
                                std::vector<UniqueFd> fds, Outcome* outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fails for what can never be sent.
  absl::Status Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Use(UniqueFd socket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetryLater() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Break(absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchProcess() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnSocket(uint64_t incarnation, uint32_t events)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnProcessEnd() ABSL_LOCKS_EXCLUDED(mutex_);
  // Reads at most so many frames; what went wrong, or OK.
  absl::Status ReadFrames(int most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnFrame(Frame frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnReply(Answer answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnWelcome(const keeper::v1::Reply& reply)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnDescription(keeper::v1::Reply reply)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PostEvent(std::function<void(const KeeperEvents&)> event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const KeeperIdentity identity_;
  const UniqueFd pidfd_;
  const std::string socket_path_;
  const Post post_;
  const std::shared_ptr<const KeeperEvents> events_;

  Mutex mutex_;
  CondVar changed_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kConnecting;
  uint64_t process_watch_ ABSL_GUARDED_BY(mutex_) = 0;

  UniqueFd socket_ ABSL_GUARDED_BY(mutex_);
  // Counts sockets: events of an earlier one may still be in hand.
  uint64_t incarnation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t socket_watch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool awaits_room_ ABSL_GUARDED_BY(mutex_) = false;
  FrameReader reader_ ABSL_GUARDED_BY(mutex_);
  FrameWriter writer_ ABSL_GUARDED_BY(mutex_);
  absl::Duration retry_after_ ABSL_GUARDED_BY(mutex_);
  Moment ready_at_ ABSL_GUARDED_BY(mutex_);

  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Owed> owed_ ABSL_GUARDED_BY(mutex_);
  bool ping_owed_ ABSL_GUARDED_BY(mutex_) = false;
  // Since when it has been silent; of meaning while it connects or owes a
  // ping.
  Moment silent_since_ ABSL_GUARDED_BY(mutex_);
  Moment heard_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caisson::pod
