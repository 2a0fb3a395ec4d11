#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
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

// Receives one whole frame, blocking.  OutOfRange at the end of the stream
// between frames; DataLoss within one.
absl::StatusOr<Frame> ReceiveFrame(int socket);

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

}  // namespace caisson
