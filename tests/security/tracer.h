#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace caisson::cri_test {

// The process that the keepers of this run are forked from; `directory` is the
// run's.
pid_t ForkServerOf(const std::string& directory);

// strace(1) of a process and all it forks from now on.
class Tracer {
 public:
  // Returns when the process is traced.
  Tracer(pid_t process, const std::string& file);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer();

  // Ends it.  The calls of open(2) and its kin that set-ups of containers and
  // execs made while among a container's mounts: from their own mount
  // namespace on, up to execve(2).
  std::vector<std::string> OpensInside();

 private:
  void End();

  pid_t pid_ = -1;
  std::string file_;
};

}  // namespace caisson::cri_test
