#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

// Frames between processes of ours: a 4-byte little-endian length and as many
// bytes, over a SOCK_STREAM socket of AF_UNIX; fds travel beside the length.
namespace caisson {

inline constexpr size_t kMaxFrameBytes = 16u << 20;
inline constexpr size_t kMaxFrameFds = 64;

struct Frame {
  std::string bytes;
  std::vector<UniqueFd> fds;  // close-on-exec
};

// Sends one frame, blocking.  The fds stay the caller's.  Unavailable when the
// other side is gone.
absl::Status SendFrame(int socket, absl::string_view bytes,
                       absl::Span<const int> fds);

// The same with an end: DeadlineExceeded, and then part of the frame may have
// been sent, after which the socket is of no more use.
absl::Status SendFrame(int socket, absl::string_view bytes,
                       absl::Span<const int> fds, Deadline deadline);

// Receives one whole frame, blocking.  OutOfRange at the end of the stream
// between frames; DataLoss within one.
absl::StatusOr<Frame> ReceiveFrame(int socket);

// The same with an end: DeadlineExceeded, and then part of a frame may have
// been read, after which the socket is of no more use.
absl::StatusOr<Frame> ReceiveFrame(int socket, Deadline deadline);

// Receives frames of one socket piece by piece, so that one thread can serve
// many: a peer that stalls within a frame holds up nobody else.
class FrameReader {
 public:
  // Takes what is there without blocking: the next whole frame, or nothing
  // when more of it is to come.  Errors are those of ReceiveFrame().
  absl::StatusOr<std::optional<Frame>> Read(int socket);

 private:
  char header_[4] = {};
  size_t done_ = 0;  // bytes of the header and what follows it
  Frame frame_;
};

// Sends frames over one socket piece by piece, for who must not wait for a
// peer that does not read.  The caller bounds what it adds.
class FrameWriter {
 public:
  // Appends a frame; its number, for Withdraw().  `fds` are closed once sent.
  // InvalidArgument for one that is too large.
  absl::StatusOr<uint64_t> Add(std::string bytes, std::vector<UniqueFd> fds);

  // Takes a frame back of which nothing was sent yet; false for any other.
  bool Withdraw(uint64_t number);

  // Sends what the socket takes without blocking: whether that was all.
  absl::StatusOr<bool> Write(int socket);

  bool empty() const { return queue_.empty(); }

  // Of the frames that are not wholly sent.
  size_t bytes() const { return bytes_; }

  size_t frames() const { return queue_.size(); }

 private:
  struct Queued {
    uint64_t number;
    std::string bytes;
    std::vector<UniqueFd> fds;
    size_t done;
  };

  std::deque<Queued> queue_;
  uint64_t last_ = 0;
  size_t bytes_ = 0;
};

}  // namespace caisson
