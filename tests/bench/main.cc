#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "tests/bench/options.h"
#include "tests/bench/parts.h"
#include "tests/bench/report.h"

namespace caisson::bench {
namespace {

using Peers = std::vector<std::unique_ptr<Peer>>;

struct Part {
  const char* name;
  absl::Status (*measure)(Peer& peer, const Options& options);
  bool once;
};

constexpr Part kParts[] = {
    {"burst", MeasureBurst, false},
    {"log", MeasureLog, false},
    {"pull", MeasurePull, false},
    {"memory", MeasureMemory, true},
};

// A failed part is told in the report, its pods are removed, the next parts
// still run.
void Record(Peer& peer, const std::string& part, const absl::Status& status) {
  if (status.ok()) {
    return;
  }
  peer.errors.push_back(absl::StrCat(part, ": ", status.message()));
  const absl::Status removed = peer.RemovePods();
  if (!removed.ok()) {
    peer.errors.push_back(absl::StrCat(part, ": ", removed.message()));
  }
}

// `work` round by round, each peer in turn, so that what disturbs the machine
// disturbs all.  A peer that failed takes no further part.
void InTurn(const Peers& peers, const std::string& part, int rounds,
            const ctl::Interrupt& interrupt,
            const std::function<absl::Status(Peer&, int round)>& work) {
  std::vector<bool> failed(peers.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < peers.size(); ++i) {
      if (failed[i] || !interrupt.Check().ok()) {
        continue;
      }
      const absl::Status status = work(*peers[i], round);
      failed[i] = !status.ok();
      Record(*peers[i], part, status);
    }
  }
}

void RunParts(const Peers& peers, const Options& options,
              const ctl::Interrupt& interrupt) {
  if (options.Wants("latency")) {
    // The first round warms up.
    InTurn(peers, "latency", options.rounds + 1, interrupt,
           [&options](Peer& peer, int round) {
             return MeasureLatency(peer, options, round > 0);
           });
  }
  for (const Part& part : kParts) {
    if (!options.Wants(part.name) ||
        (part.measure == MeasurePull && options.pull_image.empty())) {
      continue;
    }
    InTurn(peers, part.name, part.once ? 1 : options.part_rounds, interrupt,
           [&options, &part](Peer& peer, int) {
             return part.measure(peer, options);
           });
  }
}

bool Prepare(const Peers& peers) {
  for (const std::unique_ptr<Peer>& peer : peers) {
    const absl::Status status = peer->Prepare();
    if (!status.ok()) {
      LogError(absl::StrCat("prepare ", peer->name(), ": ", status.message()));
      return false;
    }
  }
  return true;
}

bool WriteJson(const std::vector<Measured>& measured, const Options& options) {
  std::ofstream file(options.json_file, std::ios::trunc);
  file << FormatJson(measured, options.judge);
  file.close();
  if (!file) {
    LogError(absl::StrCat("write ", options.json_file));
  }
  return static_cast<bool>(file);
}

int Report(const Peers& peers, const Options& options) {
  std::vector<Measured> measured;
  bool good = true;
  for (const std::unique_ptr<Peer>& peer : peers) {
    measured.push_back(
        {peer->name(), peer->endpoint().address, peer->results, peer->errors});
    good = good && peer->errors.empty();
  }
  std::fputs(FormatReport(measured, options.judge).c_str(), stdout);
  if (!options.json_file.empty()) {
    good = WriteJson(measured, options) && good;
  }
  if (options.judging) {
    const std::vector<std::string> missed = Missed(measured, options.judge);
    for (const std::string& label : missed) {
      std::fprintf(stderr, "missed: %s\n", label.c_str());
    }
    good = good && missed.empty();
  }
  return good ? 0 : 1;
}

int Main(const Options& options) {
  ctl::Interrupt interrupt;
  interrupt.Watch([] {});
  Peers peers;
  for (const Endpoint& endpoint : options.endpoints) {
    peers.push_back(std::make_unique<Peer>(endpoint, options, interrupt));
  }
  if (!Prepare(peers)) {
    return 1;
  }
  RunParts(peers, options, interrupt);
  return Report(peers, options);
}

}  // namespace
}  // namespace caisson::bench

int main(int argc, char** argv) {
  caisson::SetUpLog("caisson-bench", caisson::LogLevel::kInfo);
  std::signal(SIGPIPE, SIG_IGN);
  caisson::bench::Options options;
  int exit_code = 0;
  if (!caisson::bench::ParseOptions(argc, argv, options, exit_code)) {
    return exit_code;
  }
  return caisson::bench::Main(options);
}
