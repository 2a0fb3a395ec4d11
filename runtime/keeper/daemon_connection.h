#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/frame.h"
#include "runtime/base/unique_fd.h"
#include "runtime/keeper/event_loop.h"

namespace caisson::keeper {

// The keeper's end of its conversation with caissond.  Waits for nobody: what
// a daemon does not read is queued, and one that reads too little is hung up
// on.  Single-threaded.
class DaemonConnection {
 public:
  using OnRequest =
      std::function<void(v1::Request request, std::vector<UniqueFd> fds)>;

  // `on_end`: the connection has ended, but for a new one that took its place.
  // It is called from within Send() too.
  DaemonConnection(EventLoop& loop, OnRequest on_request,
                   std::function<void()> on_end)
      : loop_(loop),
        on_request_(std::move(on_request)),
        on_end_(std::move(on_end)) {}

  // In place of the one before, if any, which is dropped.
  absl::Status Use(UniqueFd socket);

  // The fds stay the caller's.  Nothing without a connection.
  void Send(const v1::FromKeeper& message, absl::Span<const int> fds);

  bool ok() const { return socket_.ok(); }

  // Which of the connections it is: a reply goes where its request came from.
  uint64_t number() const { return number_; }

 private:
  void OnEvent();
  void Drop();
  absl::Status Flush();

  EventLoop& loop_;
  const OnRequest on_request_;
  const std::function<void()> on_end_;
  UniqueFd socket_;
  uint64_t number_ = 0;
  FrameReader reader_;
  FrameWriter writer_;
  bool awaits_room_ = false;
};

}  // namespace caisson::keeper
