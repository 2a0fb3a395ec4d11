#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Programs that are run to their end: network plugins, hooks.
namespace caisson::kernel {

struct Command {
  std::string program;
  // The whole argv; empty: the program's name alone.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"; nothing else is there
  std::string input;                     // its standard input
  absl::Duration timeout;
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
// DeadlineExceeded: it was killed with its process group.
// ResourceExhausted: it wrote more than 1 MiB, and was killed.  Any thread.
absl::StatusOr<CommandResult> RunCommand(const Command& run);

// One line of printable text, for what a program wrote goes into errors and
// logs.
std::string OneLine(absl::string_view text);

}  // namespace caisson::kernel
