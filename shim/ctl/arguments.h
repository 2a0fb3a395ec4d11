#pragma once

#include <string>
#include <vector>

namespace caisson::ctl {

struct RunOptions {
  std::string image;
  std::vector<std::string> command;
  std::string name;
  std::string handler;
  std::string user;
  bool host_network = false;
  bool pull_always = false;
  std::vector<std::string> mounts;       // HOST:CONTAINER[:ro]
  std::vector<std::string> environment;  // NAME=VALUE
};

enum class Command {
  kNone,
  kRun,
  kPs,
  kRemoveAll,
  kCheck,
  kConfigDefault,
  kVersion
};

struct Arguments {
  Command command = Command::kNone;
  std::string endpoint;
  RunOptions run;
};

// Reads the command line.  With command kNone the program has printed help or
// an error already, and ends with `exit_code`.
Arguments ParseArguments(int argc, char** argv, int& exit_code);

}  // namespace caisson::ctl
