#pragma once

#include "absl/status/status.h"
#include "api/keeper/v1/keeper.pb.h"

namespace caisson::keeper {

// execve(2) of the process's argv[0], looked up in the PATH of its own
// environment when it has no slash, with default signal handling.  Returns
// only on failure: NotFound or the kernel's reason, naming the program.
absl::Status ExecuteProgram(const v1::Process& process);

}  // namespace caisson::keeper
