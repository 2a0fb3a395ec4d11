#include "runtime/base/frame.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status.h"

namespace caisson {
namespace {

constexpr size_t kHeaderBytes = 4;

void EncodeLength(size_t length, char* header) {
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    header[i] = static_cast<char>((length >> (8 * i)) & 0xff);
  }
}

size_t DecodeLength(const char* header) {
  size_t length = 0;
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    length |= size_t{static_cast<unsigned char>(header[i])} << (8 * i);
  }
  return length;
}

absl::Status Gone(absl::string_view verb) {
  return errno == EPIPE || errno == ECONNRESET
             ? absl::UnavailableError(
                   absl::StrCat(verb, " frame: the other side is gone"))
             : ErrnoError(verb, "frame");
}

// A frame on its way: its length and its bytes, and how many of both together
// were sent.
struct Outgoing {
  char header[kHeaderBytes];
  absl::string_view bytes;
  size_t done = 0;

  size_t size() const { return kHeaderBytes + bytes.size(); }
};

// Sends more of it in one message, with the fds beside its first byte.  False
// when that would block.
absl::StatusOr<bool> SendSome(int socket, Outgoing& frame,
                              absl::Span<const int> fds, int flags) {
  iovec parts[2] = {
      {frame.header, kHeaderBytes},
      {const_cast<char*>(frame.bytes.data()), frame.bytes.size()}};
  iovec* first = parts;
  size_t skipped = frame.done;
  if (skipped >= kHeaderBytes) {
    ++first;
    skipped -= kHeaderBytes;
  }
  first->iov_base = static_cast<char*>(first->iov_base) + skipped;
  first->iov_len -= skipped;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFrameFds * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = first;
  message.msg_iovlen = static_cast<size_t>(parts + 2 - first);
  if (!fds.empty() && frame.done == 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) != 0) {
    return false;
  }
  if (sent < 0) {
    return Gone("send");
  }
  frame.done += static_cast<size_t>(sent);
  return true;
}

absl::Status CheckFrame(absl::string_view bytes, size_t fds) {
  return bytes.size() <= kMaxFrameBytes && fds <= kMaxFrameFds
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat("send frame: ", bytes.size(), " bytes and ",
                                fds, " fds are too many"));
}

absl::StatusOr<Outgoing> MakeOutgoing(absl::string_view bytes, size_t fds) {
  RETURN_IF_ERROR(CheckFrame(bytes, fds));
  Outgoing frame;
  frame.bytes = bytes;
  EncodeLength(bytes.size(), frame.header);
  return frame;
}

// Waits for `events` of poll(2).
absl::Status AwaitSocket(int socket, short events, Deadline deadline,
                         absl::string_view verb) {
  for (;;) {
    pollfd wait = {socket, events, 0};
    const int count = poll(&wait, 1, deadline.poll_timeout());
    if (count > 0) {
      return absl::OkStatus();
    }
    if (count < 0 && errno != EINTR) {
      return ErrnoError(verb, "frame");
    }
    if (deadline.passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat(verb, " frame: the other side takes too long"));
    }
  }
}

void TakeFds(msghdr& message, std::vector<UniqueFd>& fds) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
}

// Reads up to `size` bytes, with what fds come beside them: how many, 0 when
// it would block.  OutOfRange at the end of the stream.
absl::StatusOr<size_t> ReceiveSome(int socket, char* buffer, size_t size,
                                   int flags, std::vector<UniqueFd>& fds) {
  iovec part = {buffer, size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFrameFds * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT) != 0) {
    return size_t{0};
  }
  if (got < 0 && errno != ECONNRESET) {
    return ErrnoError("receive", "frame");
  }
  if (got <= 0) {
    return absl::OutOfRangeError("receive frame: end of stream");
  }
  TakeFds(message, fds);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return absl::DataLossError("receive frame: too many fds");
  }
  return static_cast<size_t>(got);
}

// Reads exactly `size` bytes.  OutOfRange at the end of the stream before the
// first.
absl::Status ReceiveAll(int socket, char* buffer, size_t size,
                        std::vector<UniqueFd>& fds) {
  size_t done = 0;
  while (done < size) {
    const absl::StatusOr<size_t> got =
        ReceiveSome(socket, buffer + done, size - done, 0, fds);
    if (done > 0 && absl::IsOutOfRange(got.status())) {
      return absl::DataLossError("receive frame: cut short");
    }
    RETURN_IF_ERROR(got.status());
    done += *got;
  }
  return absl::OkStatus();
}

absl::Status CheckLength(size_t length) {
  return length <= kMaxFrameBytes
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat("receive frame: length ",
                                                length, " is too large"));
}

}  // namespace

absl::Status SendFrame(int socket, absl::string_view bytes,
                       absl::Span<const int> fds) {
  ASSIGN_OR_RETURN(Outgoing frame, MakeOutgoing(bytes, fds.size()));
  while (frame.done < frame.size()) {
    RETURN_IF_ERROR(SendSome(socket, frame, fds, 0).status());
  }
  return absl::OkStatus();
}

absl::Status SendFrame(int socket, absl::string_view bytes,
                       absl::Span<const int> fds, Deadline deadline) {
  ASSIGN_OR_RETURN(Outgoing frame, MakeOutgoing(bytes, fds.size()));
  while (frame.done < frame.size()) {
    ASSIGN_OR_RETURN(const bool sent,
                     SendSome(socket, frame, fds, MSG_DONTWAIT));
    if (!sent) {
      RETURN_IF_ERROR(AwaitSocket(socket, POLLOUT, deadline, "send"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FrameWriter::Add(std::string bytes,
                                          std::vector<UniqueFd> fds) {
  RETURN_IF_ERROR(CheckFrame(bytes, fds.size()));
  bytes_ += bytes.size();
  queue_.push_back({++last_, std::move(bytes), std::move(fds), 0});
  return last_;
}

bool FrameWriter::Withdraw(uint64_t number) {
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (it->number == number && it->done == 0) {
      bytes_ -= it->bytes.size();
      queue_.erase(it);
      return true;
    }
  }
  return false;
}

absl::StatusOr<bool> FrameWriter::Write(int socket) {
  while (!queue_.empty()) {
    Queued& next = queue_.front();
    ASSIGN_OR_RETURN(Outgoing frame, MakeOutgoing(next.bytes, next.fds.size()));
    frame.done = next.done;
    std::vector<int> fds;
    for (const UniqueFd& fd : next.fds) {
      fds.push_back(fd.get());
    }
    while (frame.done < frame.size()) {
      ASSIGN_OR_RETURN(const bool sent,
                       SendSome(socket, frame, fds, MSG_DONTWAIT));
      next.done = frame.done;
      if (!sent) {
        return false;
      }
    }
    bytes_ -= next.bytes.size();
    queue_.pop_front();
  }
  return true;
}

absl::StatusOr<Frame> ReceiveFrame(int socket) {
  Frame frame;
  char header[kHeaderBytes];
  RETURN_IF_ERROR(ReceiveAll(socket, header, sizeof(header), frame.fds));
  const size_t length = DecodeLength(header);
  RETURN_IF_ERROR(CheckLength(length));
  frame.bytes.resize(length);
  absl::Status status =
      ReceiveAll(socket, frame.bytes.data(), length, frame.fds);
  if (absl::IsOutOfRange(status)) {
    return absl::DataLossError("receive frame: cut short");
  }
  RETURN_IF_ERROR(status);
  return frame;
}

absl::StatusOr<Frame> ReceiveFrame(int socket, Deadline deadline) {
  FrameReader reader;
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<Frame> frame, reader.Read(socket));
    if (frame.has_value()) {
      return std::move(frame).value();
    }
    RETURN_IF_ERROR(AwaitSocket(socket, POLLIN, deadline, "receive"));
  }
}

absl::StatusOr<std::optional<Frame>> FrameReader::Read(int socket) {
  for (;;) {
    // The header by itself: a read across frames would mix up their fds.
    const bool in_header = done_ < kHeaderBytes;
    char* const to = in_header ? header_ + done_
                               : frame_.bytes.data() + (done_ - kHeaderBytes);
    const size_t end =
        in_header ? kHeaderBytes : kHeaderBytes + frame_.bytes.size();
    if (done_ < end) {
      const absl::StatusOr<size_t> got =
          ReceiveSome(socket, to, end - done_, MSG_DONTWAIT, frame_.fds);
      if (done_ > 0 && absl::IsOutOfRange(got.status())) {
        return absl::DataLossError("receive frame: cut short");
      }
      RETURN_IF_ERROR(got.status());
      if (*got == 0) {
        return std::optional<Frame>();
      }
      done_ += *got;
    }
    if (in_header && done_ == kHeaderBytes) {
      const size_t length = DecodeLength(header_);
      RETURN_IF_ERROR(CheckLength(length));
      frame_.bytes.resize(length);
    }
    if (done_ >= kHeaderBytes && done_ == kHeaderBytes + frame_.bytes.size()) {
      done_ = 0;
      return std::optional<Frame>(std::exchange(frame_, Frame()));
    }
  }
}

}  // namespace caisson
