#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/bench/targets.h"

namespace caisson::bench {

// One runtime to measure.
struct Endpoint {
  std::string address;
  std::string name;
  std::string handler;
  std::string process_pattern;  // alternatives between |
};

struct Options {
  std::vector<Endpoint> endpoints;
  std::string image;
  std::string pull_image;
  std::string json_file;
  std::vector<std::string> sleep_command;
  std::vector<std::string> log_command;
  std::set<std::string> skipped;  // latency cni burst log pull memory
  // Whether a row that misses what it must reach makes the bench fail.
  bool judging = false;
  Judge judge;
  int rounds = 20;
  int part_rounds = 3;
  int burst_pods = 100;
  int burst_parallel = 10;
  int memory_pods = 50;

  bool Wants(const std::string& part) const { return skipped.count(part) == 0; }
};

// Reads the command line; false after help or an error, with `exit_code`.
bool ParseOptions(int argc, char** argv, Options& options, int& exit_code);

}  // namespace caisson::bench
