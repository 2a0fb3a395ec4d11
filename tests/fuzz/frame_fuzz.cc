#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/frame.h"
#include "runtime/base/unique_fd.h"
#include "tests/fuzz/check.h"

namespace {

// What a writer sends is what a reader finds.
void CheckWriter(const std::string& bytes) {
  int ends[2];
  FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const caisson::UniqueFd ours(ends[0]);
  const caisson::UniqueFd theirs(ends[1]);
  caisson::FrameWriter writer;
  FUZZ_CHECK(writer.Add(bytes, {}).ok());
  const absl::StatusOr<bool> all = writer.Write(ours.get());
  FUZZ_CHECK(all.ok() && *all && writer.empty());
  const absl::StatusOr<caisson::Frame> frame =
      caisson::ReceiveFrame(theirs.get(), caisson::Deadline());
  FUZZ_CHECK(frame.ok() && frame->bytes == bytes);
}

}  // namespace

// The first byte is the size of the pieces that the rest arrives in; both
// readers find the same frames, and any bytes may be in them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // More would not fit into the socket's buffer.
  if (size < 2 || size > 65536) {
    return 0;
  }
  int ends[2];
  FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  caisson::UniqueFd ours(ends[0]);
  const caisson::UniqueFd theirs(ends[1]);
  FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  caisson::UniqueFd whole(ends[0]);
  const caisson::UniqueFd blocking(ends[1]);
  FUZZ_CHECK(send(whole.get(), data + 1, size - 1, 0) ==
             static_cast<ssize_t>(size - 1));
  whole.reset();

  caisson::FrameReader reader;
  const size_t piece = size_t{1} + data[0];
  size_t sent = 1;
  for (;;) {
    absl::StatusOr<std::optional<caisson::Frame>> frame =
        reader.Read(theirs.get());
    if (frame.ok() && !frame->has_value()) {
      FUZZ_CHECK(ours.ok());
      const size_t part = std::min(piece, size - sent);
      if (part == 0) {
        ours.reset();
        continue;
      }
      FUZZ_CHECK(send(ours.get(), data + sent, part, 0) ==
                 static_cast<ssize_t>(part));
      sent += part;
      continue;
    }
    const absl::StatusOr<caisson::Frame> same =
        caisson::ReceiveFrame(blocking.get());
    FUZZ_CHECK(frame.status().code() == same.status().code());
    if (!frame.ok()) {
      return 0;
    }
    FUZZ_CHECK((*frame)->bytes == same->bytes);
    CheckWriter(same->bytes);
    caisson::keeper::v1::Request request;
    request.ParseFromString(same->bytes);
    caisson::keeper::v1::FromKeeper reply;
    reply.ParseFromString(same->bytes);
    caisson::keeper::v1::ChildMessage message;
    message.ParseFromString(same->bytes);
  }
}
