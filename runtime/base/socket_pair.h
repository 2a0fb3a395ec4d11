#pragma once

#include <sys/socket.h>

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson {

// Two connected unix(7) sockets, close-on-exec.
struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

// `type`: of socketpair(2); SOCK_STREAM is what frames go through.
absl::StatusOr<SocketPair> MakeSocketPair(int type = SOCK_STREAM);

}  // namespace caisson
