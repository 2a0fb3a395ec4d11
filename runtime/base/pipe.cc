#include "runtime/base/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/status.h"

namespace caisson {

absl::StatusOr<Pipe> MakePipe(int flags) {
  int ends[2];
  if (pipe2(ends, flags | O_CLOEXEC) != 0) {
    return ErrnoError("create", "pipe");
  }
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace caisson
