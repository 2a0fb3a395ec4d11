#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace caisson::cri_test {

// strace(1) on running processes, and on all that they fork from now on.
class Strace {
 public:
  // `calls` as its option "-e trace=" takes them; the log goes to `file`.
  // Returns when all are attached.
  Strace(const std::vector<int>& pids, const std::string& calls,
         std::string file);
  Strace(const Strace&) = delete;
  Strace& operator=(const Strace&) = delete;
  ~Strace();

  // Lets go of all; the lines that were written, each with a pid in front.
  std::vector<std::string> End();

 private:
  std::string file_;
  pid_t pid_ = -1;
};

}  // namespace caisson::cri_test
