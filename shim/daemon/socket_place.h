#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/unique_fd.h"

namespace caisson::daemon {

// The place of the CRI's socket, which one daemon at a time has: another must
// not take it away, nor may the end of one take the socket of its successor.
class SocketPlace {
 public:
  // AlreadyExists while another daemon has it: a lock (flock(2)) on the file
  // `path`.lock, which ends with its process.
  static absl::StatusOr<std::unique_ptr<SocketPlace>> Take(
      const std::string& path);
  SocketPlace(const SocketPlace&) = delete;
  SocketPlace& operator=(const SocketPlace&) = delete;
  // Where the server is to bind: gRPC removes what it finds there, and again
  // at its end.
  std::string BindPath() const;

  // Puts what was bound in its place, in one step: whoever connects finds a
  // server that answers.
  absl::Status Publish();

  // Takes the socket away, if it is still the one that was published.
  void Remove();

 private:
  SocketPlace(std::string path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  const std::string path_;
  const UniqueFd lock_;
  // Of the published socket; 0: none.
  uint64_t inode_ = 0;
};

}  // namespace caisson::daemon
