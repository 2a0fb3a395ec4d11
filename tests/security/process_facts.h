#pragma once

#include <sys/types.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// What the host's /proc says of processes that a test looks at from outside.
namespace caisson::cri_test {

struct OpenFile {
  int number = -1;
  std::string target;  // of the link
  mode_t type = 0;     // S_IFMT
  dev_t device = 0;    // of a device file
  dev_t filesystem = 0;
  ino_t inode = 0;

  // A pipe, a socket, a terminal of devpts or the null device.
  bool IsHarmless() const;
  // The root directory of that process.
  bool IsRootOf(int pid) const;
};

std::ostream& operator<<(std::ostream& out, const OpenFile& file);

// In the order of their numbers.
std::vector<OpenFile> OpenFilesOf(int pid);

// "device:inode" of /proc/PID/root.
std::string RootOf(int pid);

// The first of `pids` whose name is `name`; 0 when there is none.
int PidsNamed(const std::string& name, const std::vector<int>& pids);

// A line of /proc/PID/status without its name.
std::string StatusOf(int pid, const std::string& name);

// Waits until one of the processes that `list` returns waits at a pause point
// of the keeper; 0 and a failed test when none does.
int AwaitPaused(const std::function<std::vector<int>()>& list);

// Names of the steps of one of the keeper's tables.
std::vector<std::string> StepsOf(const std::string& table);

// A setting of the machine, changed for as long as this lives.  Who changes the
// same one waits for the other.
class HostSetting {
 public:
  HostSetting(std::string path, const std::string& value);
  HostSetting(const HostSetting&) = delete;
  HostSetting& operator=(const HostSetting&) = delete;
  ~HostSetting();

 private:
  std::string path_;
  UniqueFd lock_;
  std::string before_;
};

}  // namespace caisson::cri_test
