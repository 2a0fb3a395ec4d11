// caissond: the daemon that speaks the CRI.

#include <limits.h>
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/config/config.h"
#include "shim/daemon/daemon.h"

namespace {

constexpr char kDefaultConfig[] = "/etc/caisson/config.toml";

// The directory this program is in.
std::string ProgramDirectory() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  const absl::string_view text(path,
                               length > 0 ? static_cast<size_t>(length) : 0);
  return std::string(text.substr(0, text.rfind('/')));
}

caisson::LogLevel LevelOf(const std::string& name) {
  return name == "debug"     ? caisson::LogLevel::kDebug
         : name == "warning" ? caisson::LogLevel::kWarning
         : name == "error"   ? caisson::LogLevel::kError
                             : caisson::LogLevel::kInfo;
}

absl::Status Run(const std::string& config_path) {
  caisson::config::Config config;
  // No file is needed to start; one that was named must be there.
  if (!config_path.empty() || access(kDefaultConfig, F_OK) == 0) {
    ASSIGN_OR_RETURN(config,
                     caisson::config::Load(config_path.empty() ? kDefaultConfig
                                                               : config_path));
  }
  caisson::SetUpLog("caissond", LevelOf(config.log_level));
  ASSIGN_OR_RETURN(const std::unique_ptr<caisson::daemon::Daemon> daemon,
                   caisson::daemon::Daemon::Open(config, ProgramDirectory()));
  const absl::Status served = daemon->Serve();
  if (!served.ok()) {
    caisson::LogError(served.message());
  }
  // Without destructors: work that was begun may still go on in threads.
  fflush(nullptr);
  _exit(served.ok() ? 0 : 1);
}

}  // namespace

int main(int argc, char** argv) {
  std::string config_path;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--config=")) {
      config_path = std::string(argument);
    } else if (argument == "--config" && i + 1 < argc) {
      config_path = argv[++i];
    } else if (argument == "--version") {
      printf("caissond %s\n", CAISSON_VERSION);
      return 0;
    } else {
      fprintf(stderr, "usage: caissond [--config FILE] [--version]\n");
      return 2;
    }
  }
  signal(SIGPIPE, SIG_IGN);
  // An arena a thread would keep what a burst of calls took.
  mallopt(M_ARENA_MAX, 2);
  const absl::Status status = Run(config_path);
  if (!status.ok()) {
    caisson::LogError(status.message());
    return 1;
  }
  return 0;
}
