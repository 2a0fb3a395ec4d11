#pragma once

#include "absl/status/status.h"

namespace caisson::keeper {

// Serves on `socket` until its other end is closed: each frame brings the
// socket of a keeper to be, which is forked and runs `allow_faults` or not;
// the answer is its pid, 4 bytes little-endian, and beside it its pidfd.
// Keepers are children of
// init (or the nearest subreaper), outside the daemon's session, and share a
// mount namespace of their own, a slave of the host's.
absl::Status ServeForks(int socket, bool allow_faults);

}  // namespace caisson::keeper
