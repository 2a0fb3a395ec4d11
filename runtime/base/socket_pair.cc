#include "runtime/base/socket_pair.h"

#include "runtime/base/status.h"

namespace caisson {

absl::StatusOr<SocketPair> MakeSocketPair(int type) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError("create", "socket pair");
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace caisson
