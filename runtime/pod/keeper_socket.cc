#include "runtime/pod/keeper_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"
#include "runtime/pod/keeper.h"

namespace caisson::pod {
namespace {

// Connections of daemons that came and went while the keeper was stopped wait
// here.
constexpr int kBacklog = 16;

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name socket ", path, ": longer than ",
                     sizeof(address.sun_path) - 1, " bytes"));
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectToKeeper(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  // Else connect(2) waits for a place in the backlog.
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) {
    return ErrnoError("open", "socket");
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN
               ? absl::UnavailableError(
                     absl::StrCat("connect to ", path, ": nobody listens"))
               : ErrnoError("connect to", path);
  }
  return fd;
}

absl::StatusOr<UniqueFd> Keeper::Listen(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) {
    return ErrnoError("open", "socket");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("remove", path);
  }
  // The directory is the daemon's own (0700); the mode is the second lock.
  if (fchmod(fd.get(), 0600) != 0) {
    return ErrnoError("change mode of", path);
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return ErrnoError("bind", path);
  }
  if (listen(fd.get(), kBacklog) != 0) {
    return ErrnoError("listen at", path);
  }
  return fd;
}

}  // namespace caisson::pod
