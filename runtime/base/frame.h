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

}  // namespace caisson
