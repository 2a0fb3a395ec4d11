#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::image {

// A running caisson-puller and the socket to it, on which sending ends after
// half a minute when nothing is read.  Destruction kills and reaps it.
class PullerProcess {
 public:
  static absl::StatusOr<PullerProcess> Start(const std::string& binary);
  PullerProcess(PullerProcess&& other) noexcept;
  PullerProcess& operator=(PullerProcess&&) = delete;

  ~PullerProcess() { Stop().IgnoreError(); }

  int socket() const { return socket_.get(); }

  // Kills and reaps it now: after OK nobody holds the files it was given.
  // Unavailable: the kernel doesn't let it go.  Harmless when repeated.
  absl::Status Stop();

 private:
  PullerProcess(pid_t pid, UniqueFd socket)
      : pid_(pid), socket_(std::move(socket)) {}

  pid_t pid_;
  UniqueFd socket_;
};

}  // namespace caisson::image
