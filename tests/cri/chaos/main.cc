// Clients that live with a daemon which is killed at moments nobody chose.
//
//   chaos [--seed N] [--kills N] [--seconds N] [--clients N]
//
// Under hack/with_caissond.sh.  Half of the pods have a network of their own.
// Afterwards all must be as the clients know it, and when they have removed
// all, nothing may be left.  Exit code 1: something was otherwise.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/cgroup/cgroup.h"
#include "shim/config/config.h"
#include "tests/cri/chaos/chaos_client.h"
#include "tests/cri/fixture/daemon_process.h"
#include "tests/cri/fixture/leftovers.h"

namespace caisson::cri_test {
namespace {

struct Options {
  uint64_t seed = 0;
  int kills = 8;
  int seconds = 30;
  int clients = 8;
};

using Clients = std::vector<std::unique_ptr<ChaosClient>>;

// Kills it at moments of the interval that the seed chooses; false: one did
// not come up.
bool KillAgainAndAgain(const Options& options, DaemonProcess& daemon) {
  std::mt19937_64 random(options.seed);
  const absl::Duration all = absl::Seconds(options.seconds);
  std::vector<absl::Duration> moments;
  for (int i = 0; i < options.kills; ++i) {
    moments.push_back(all * static_cast<double>(random() % 1000000) / 1e6);
  }
  std::sort(moments.begin(), moments.end());
  const absl::Time begin = absl::Now();
  absl::Duration longest;
  absl::Duration total;
  for (const absl::Duration moment : moments) {
    absl::SleepFor(begin + moment - absl::Now());
    daemon.Kill();
    const absl::Duration took = daemon.Start();
    if (took == absl::InfiniteDuration()) {
      printf("a daemon does not serve:\n%s\n", daemon.LogTail().c_str());
      return false;
    }
    longest = std::max(longest, took);
    total += took;
  }
  absl::SleepFor(begin + all - absl::Now());
  printf("%d kills; the next one served after %.0f ms, %.0f ms at most\n",
         options.kills,
         absl::ToDoubleMilliseconds(total) / std::max(1, options.kills),
         absl::ToDoubleMilliseconds(longest));
  return true;
}

void EachAtOnce(Clients& clients, void (*work)(ChaosClient&)) {
  std::vector<std::thread> threads;
  for (const std::unique_ptr<ChaosClient>& client : clients) {
    threads.emplace_back([&client, work] { work(*client); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

Clients MakeClients(const Options& options, const DaemonProcess& daemon,
                    const std::string& directory) {
  Clients clients;
  for (int i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<ChaosClient>(
        ChaosClient::Options{i, options.seed, daemon.SocketPath(), directory}));
  }
  return clients;
}

void LiveThroughKills(const Options& options, DaemonProcess& daemon,
                      Clients& clients) {
  static std::atomic<bool> over = false;
  std::thread killer([&] {
    const bool went_well = KillAgainAndAgain(options, daemon);
    over = true;
    if (!went_well) {
      // The clients wait for it.
      _exit(1);
    }
  });
  EachAtOnce(clients, [](ChaosClient& client) { client.Live(over); });
  killer.join();
}

void CheckAll(const std::string& socket_path, Clients& clients) {
  CriClient client(socket_path);
  std::vector<cri::PodSandbox> pods;
  std::vector<cri::Container> containers;
  client.Pods(&pods);
  client.Containers(&containers);
  printf("%zu pods and %zu containers are there\n", pods.size(),
         containers.size());
  for (const std::unique_ptr<ChaosClient>& each : clients) {
    each->Check(pods, containers);
  }
}

int Report(const Clients& clients, const std::vector<std::string>& left) {
  size_t answers = 0;
  size_t losses = 0;
  size_t complaints = 0;
  for (const std::unique_ptr<ChaosClient>& client : clients) {
    answers += client->answers();
    losses += client->losses();
    complaints += client->complaints().size();
  }
  for (const std::string& line : left) {
    printf("left: %s\n", line.c_str());
  }
  printf("chaos: %zu answers, %zu lost or late, %zu complaints, %zu left\n",
         answers, losses, complaints, left.size());
  return complaints == 0 && left.empty() && answers > 0 ? 0 : 1;
}

int Run(const Options& options) {
  const char* directory = getenv("CAISSON_TEST_DIR");
  const absl::StatusOr<config::Config> config = config::Load(
      absl::StrCat(directory == nullptr ? "" : directory, "/config.toml"));
  if (directory == nullptr || !config.ok()) {
    fprintf(stderr, "chaos: run it under hack/with_caissond.sh\n");
    return 2;
  }
  const absl::StatusOr<cgroup::Layout> layout =
      cgroup::DetectLayout(config->state + "/cgroup2");
  if (!layout.ok()) {
    fprintf(stderr, "chaos: %s\n", layout.status().ToString().c_str());
    return 2;
  }
  printf("chaos --seed %lu --kills %d --seconds %d --clients %d\n",
         options.seed, options.kills, options.seconds, options.clients);
  fflush(stdout);
  DaemonProcess daemon(directory);
  CriClient(daemon.SocketPath()).Pull("docker.io/library/busybox:latest");
  Clients clients = MakeClients(options, daemon, directory);
  LiveThroughKills(options, daemon, clients);
  CheckAll(daemon.SocketPath(), clients);
  EachAtOnce(clients, [](ChaosClient& client) { client.RemoveAll(); });
  CheckAll(daemon.SocketPath(), clients);
  const Leftovers leftovers(*config, *layout, directory);
  return Report(clients, leftovers.FindAfter(absl::Seconds(30)));
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const bool parsed =
        name == "--seed"      ? absl::SimpleAtoi(argv[i + 1], &options->seed)
        : name == "--kills"   ? absl::SimpleAtoi(argv[i + 1], &options->kills)
        : name == "--seconds" ? absl::SimpleAtoi(argv[i + 1], &options->seconds)
        : name == "--clients" ? absl::SimpleAtoi(argv[i + 1], &options->clients)
                              : false;
    if (!parsed) {
      return false;
    }
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace caisson::cri_test

int main(int argc, char** argv) {
  caisson::cri_test::Options options;
  options.seed = static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now()));
  if (!caisson::cri_test::Parse(argc, argv, &options)) {
    fprintf(stderr,
            "usage: chaos [--seed N] [--kills N] [--seconds N] "
            "[--clients N]\n");
    return 2;
  }
  return caisson::cri_test::Run(options);
}
