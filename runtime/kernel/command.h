#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/base/deadline.h"

// Programs that are run to their end: network plugins, hooks.
namespace caisson::kernel {

struct Command {
  std::string program;
  // The whole argv; empty: the program's name alone.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"; nothing else is there
  std::string input;                     // its standard input
  // Until when it may run.
  Deadline deadline;
  // Borrowed; -1: none.  Readable: nobody wants the answer any more.
  int cancel = -1;
  // Borrowed directory of a cgroup (v2) that is the run's alone; -1: none.
  // The program is born in it, and what ends the program kills all that is in
  // it.  Without one, what left the process group (setsid(2)) gets away.
  int cgroup = -1;
  // Runs in the child last before the program, whose error it becomes.  For
  // single-threaded callers: with it the child is forked, not spawned.
  std::function<absl::Status()> confine;
};

struct CommandResult {
  int status = 0;  // as shells tell it
  std::string output;
  std::string error_tail;  // the last 4 KiB of standard error
};

// Runs the program to its end, in a process group of its own, with "/" as
// working directory, no fds but the three, and no signal blocked.
// It was killed with its process group, and its cgroup if it has one:
// DeadlineExceeded; Cancelled; ResourceExhausted, when it wrote more than
// 1 MiB.  Unavailable: it ended, but the kernel doesn't tell how (a tracer that
// never waits holds it).  Any thread.
//
// Returns within a moment of the deadline also when the kernel can't end the
// program (uninterruptible sleep, a tracer): then it stays a child of this
// process, and a later RunCommand() or ReapLeftBehind() reaps it.
absl::StatusOr<CommandResult> RunCommand(const Command& run);

// Kills a child of this process, known by its unreaped number, and reaps it:
// its exit status as shells tell it.  Unavailable: it isn't gone by `deadline`,
// and is left behind.  Any thread.
absl::StatusOr<int> KillChild(pid_t pid, Deadline deadline);

// Reaps, without waiting, what earlier runs had to leave; how many are left.
// Any thread.
size_t ReapLeftBehind();

// One line of printable text, for what a program wrote goes into errors and
// logs.
std::string OneLine(absl::string_view text);

}  // namespace caisson::kernel
