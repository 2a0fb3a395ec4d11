#include "tests/bench/options.h"

#include <CLI/CLI.hpp>

namespace caisson::bench {
namespace {

// The lists of the options that describe endpoints, side by side.
struct Columns {
  std::vector<std::string> addresses;
  std::vector<std::string> names;
  std::vector<std::string> handlers;
  std::vector<std::string> patterns;
};

std::string ItemOr(const std::vector<std::string>& items, size_t i,
                   const std::string& otherwise) {
  return i < items.size() ? items[i] : otherwise;
}

std::vector<Endpoint> Combine(const Columns& columns) {
  std::vector<Endpoint> endpoints;
  for (size_t i = 0; i < columns.addresses.size(); ++i) {
    const std::string name =
        ItemOr(columns.names, i, i == 0 ? "caisson" : "containerd");
    // containerd's pause processes serve the pod, not the workload.
    const std::string pattern =
        name == "containerd" ? "containerd|/pause" : name;
    endpoints.push_back({columns.addresses[i], name,
                         ItemOr(columns.handlers, i, ""),
                         ItemOr(columns.patterns, i, pattern)});
  }
  return endpoints;
}

void AddEndpoints(CLI::App& app, Columns& columns) {
  app.add_option("--endpoint", columns.addresses,
                 "CRI socket, unix:///path; once for each runtime")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--name", columns.names, "Name, in the order of --endpoint")
      ->allow_extra_args(false);
  app.add_option("--handler", columns.handlers, "Runtime handler, likewise")
      ->allow_extra_args(false);
  app.add_option("--process-pattern", columns.patterns,
                 "Parts of command lines of the runtime's processes, between "
                 "|, likewise")
      ->allow_extra_args(false);
}

void AddWork(CLI::App& app, Options& options) {
  app.add_option("--image", options.image, "Image with sh, sleep and true")
      ->capture_default_str();
  app.add_option("--pull-image", options.pull_image,
                 "Image to remove and pull; none: not measured");
  app.add_option("--json", options.json_file, "Also write the results here");
  app.add_option("--sleep-command", options.sleep_command, "A long sleep")
      ->capture_default_str();
  app.add_option("--log-command", options.log_command, "Prints much and ends")
      ->capture_default_str();
  app.add_option("--skip", options.skipped,
                 "Any of latency, cni, burst, log, pull, memory")
      ->delimiter(',')
      ->check(
          CLI::IsMember({"latency", "cni", "burst", "log", "pull", "memory"}));
  app.add_option("--rounds", options.rounds, "Rounds of single calls")
      ->take_last()
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--part-rounds", options.part_rounds,
                 "Rounds of burst, log and pull")
      ->take_last()
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--burst-pods", options.burst_pods, "Pods of the burst")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--burst-parallel", options.burst_parallel, "At a time")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--memory-pods", options.memory_pods,
                 "Pods while memory is measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

void AddJudge(CLI::App& app, Options& options) {
  app.add_flag("--judge", options.judging, "Fail when a row misses its target");
  app.add_flag("--all-rows", options.judge.all_rows,
               "Judge also the rows whose work is still to come");
  app.add_option("--at-least", options.judge.at_least,
                 "The ratio that all rows must reach, instead of their own")
      ->check(CLI::PositiveNumber);
}

}  // namespace

bool ParseOptions(int argc, char** argv, Options& options, int& exit_code) {
  options.image = "localhost:5000/busybox:1";
  options.sleep_command = {"sleep", "3600"};
  // Lines of 100 bytes, 200 MB of them, from a file: busybox's yes makes no
  // more than 200 MB/s.
  options.log_command = {"sh", "-c",
                         "yes " + std::string(99, 'x') +
                             " | head -c 20000000 >/tmp/f; "
                             "for i in 1 2 3 4 5 6 7 8 9 10; do cat /tmp/f; "
                             "done"};
  CLI::App app("Measures CRI runtimes side by side.", "caisson-bench");
  Columns columns;
  AddEndpoints(app, columns);
  AddWork(app, options);
  AddJudge(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : 2;
    return false;
  }
  options.endpoints = Combine(columns);
  return true;
}

}  // namespace caisson::bench
