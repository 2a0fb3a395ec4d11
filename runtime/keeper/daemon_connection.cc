#include "runtime/keeper/daemon_connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::keeper {
namespace {

// What a daemon leaves unread, beyond which it is taken for dead.
constexpr size_t kMostBytes = 4u << 20;
constexpr size_t kMostFrames = 4096;

}  // namespace

absl::Status DaemonConnection::Use(UniqueFd socket) {
  Drop();
  socket_ = std::move(socket);
  ++number_;
  return loop_.Add(socket_.get(), EPOLLIN, [this] { OnEvent(); });
}

void DaemonConnection::Drop() {
  if (!socket_.ok()) {
    return;
  }
  loop_.Remove(socket_.get());
  // A child that was just forked may have a copy.
  shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
  reader_ = FrameReader();
  writer_ = FrameWriter();
  awaits_room_ = false;
}

void DaemonConnection::OnEvent() {
  if (!Flush().ok()) {
    // What it missed it will learn from Describe.
    Drop();
    on_end_();
    return;
  }
  absl::StatusOr<std::optional<Frame>> frame = reader_.Read(socket_.get());
  if (frame.ok() && !frame->has_value()) {
    return;
  }
  v1::Request request;
  if (!frame.ok() || !request.ParseFromString((*frame)->bytes)) {
    if (frame.ok()) {
      LogWarning("read request: malformed");
    }
    Drop();
    on_end_();
    return;
  }
  on_request_(std::move(request), std::move((*frame)->fds));
}

void DaemonConnection::Send(const v1::FromKeeper& message,
                            absl::Span<const int> fds) {
  if (!socket_.ok()) {
    return;
  }
  std::vector<UniqueFd> copies;
  for (const int fd : fds) {
    copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
  absl::Status status =
      writer_.Add(message.SerializeAsString(), std::move(copies)).status();
  if (status.ok()) {
    status = Flush();
  }
  if (status.ok() &&
      (writer_.bytes() > kMostBytes || writer_.frames() > kMostFrames)) {
    status = absl::ResourceExhaustedError("the daemon does not read");
  }
  if (!status.ok()) {
    if (absl::IsResourceExhausted(status)) {
      LogWarning(absl::StrCat("send to daemon: ", status.message()));
    }
    // What it missed it will learn from Describe.
    Drop();
    on_end_();
  }
}

absl::Status DaemonConnection::Flush() {
  ASSIGN_OR_RETURN(const bool all, writer_.Write(socket_.get()));
  if (awaits_room_ == all) {
    awaits_room_ = !all;
    loop_.Change(socket_.get(),
                 EPOLLIN | (awaits_room_ ? uint32_t{EPOLLOUT} : 0U));
  }
  return absl::OkStatus();
}

}  // namespace caisson::keeper
