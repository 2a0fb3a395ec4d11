#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/keeper/v1/keeper.pb.h"

namespace caisson::keeper {

// A program about to take the place of the calling process.  All that can be
// done before is done by Prepare(): what comes after may run under a seccomp
// filter that allows nothing but the execve(2).
class Program {
 public:
  // Gives signals their default handling, sets the umask and finds argv[0], in
  // the PATH of its own environment when it has no slash.  NotFound or the
  // kernel's reason, naming the program.  `process` outlives this.
  static absl::StatusOr<Program> Prepare(const v1::Process& process);

  Program() = default;

  // Returns only on failure: the kernel's reason, naming the program.
  absl::Status Execute() const;

 private:
  const v1::Process* process_ = nullptr;
  // Paths that may be executed as far as can be told, in the order of PATH.
  std::vector<std::string> paths_;
  std::vector<char*> argv_;
  std::vector<char*> env_;
};

}  // namespace caisson::keeper
