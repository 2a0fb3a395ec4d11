#include <csignal>
#include <cstdio>
#include <fstream>
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
};

constexpr Part kParts[] = {
    {"burst", MeasureBurst},
    {"log", MeasureLog},
    {"pull", MeasurePull},
    {"memory", MeasureMemory},
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

// Round by round in turn, so that what disturbs the machine disturbs all; a
// first round warms up.  A peer that failed takes no further part.
void RunLatency(const Peers& peers, const Options& options,
                const ctl::Interrupt& interrupt) {
  std::vector<bool> failed(peers.size());
  for (int round = 0; round <= options.rounds; ++round) {
    for (size_t i = 0; i < peers.size(); ++i) {
      if (failed[i] || !interrupt.Check().ok()) {
        continue;
      }
      const absl::Status status = MeasureLatency(*peers[i], options, round > 0);
      failed[i] = !status.ok();
      Record(*peers[i], "latency", status);
    }
  }
}

void RunParts(const Peers& peers, const Options& options,
              const ctl::Interrupt& interrupt) {
  if (options.Wants("latency")) {
    RunLatency(peers, options, interrupt);
  }
  for (const Part& part : kParts) {
    const bool wanted =
        options.Wants(part.name) &&
        (part.measure != MeasurePull || !options.pull_image.empty());
    for (const std::unique_ptr<Peer>& peer : peers) {
      if (wanted && interrupt.Check().ok()) {
        Record(*peer, part.name, part.measure(*peer, options));
      }
    }
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

int Report(const Peers& peers, const Options& options) {
  std::vector<Measured> measured;
  bool complete = true;
  for (const std::unique_ptr<Peer>& peer : peers) {
    measured.push_back(
        {peer->name(), peer->endpoint().address, peer->results, peer->errors});
    complete = complete && peer->errors.empty();
  }
  std::fputs(FormatReport(measured).c_str(), stdout);
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file, std::ios::trunc);
    file << FormatJson(measured);
    file.close();
    if (!file) {
      LogError(absl::StrCat("write ", options.json_file));
      complete = false;
    }
  }
  return complete ? 0 : 1;
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
