#pragma once

#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson {

// pipe(7), both ends close-on-exec.
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// `flags`: of pipe2(2), as O_NONBLOCK for both ends.
absl::StatusOr<Pipe> MakePipe(int flags = 0);

}  // namespace caisson
