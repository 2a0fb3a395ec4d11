#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shim/config/config.h"

namespace caisson::daemon {

// caissond: all of its parts, put together.
class Daemon {
 public:
  // Makes the daemon's directories and opens its parts: image store, records,
  // cgroups, networks, keepers.  `program_directory`: where the helper
  // programs are unless the configuration says so.  AlreadyExists: another
  // daemon has the socket.
  static absl::StatusOr<std::unique_ptr<Daemon>> Open(
      const config::Config& config, const std::string& program_directory);
  virtual ~Daemon() = default;

  // Takes up what an earlier daemon left, and serves the CRI at the configured
  // socket until SIGTERM or SIGINT.  Returns then within a second, whatever
  // calls are under way: those who wait are told (Unavailable), pods go on
  // running, and the next daemon finishes what was begun.  The process must
  // end without destructors: threads may still work.
  virtual absl::Status Serve() = 0;
};

}  // namespace caisson::daemon
