#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/frame.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

struct ReceivedMessage {
  v1::ChildMessage message;
  std::vector<UniqueFd> fds;
};

// One message between a child and its keeper, over a stream socket; blocking,
// as only the child may.
absl::Status SendMessage(int channel, const v1::ChildMessage& message,
                         absl::Span<const int> fds);

// OutOfRange at the end of the stream.
absl::StatusOr<ReceivedMessage> ReceiveMessage(int channel);

// The keeper's end: it waits for no child, which may have been stopped by the
// container it is about to be in.
struct ChildChannel {
  UniqueFd fd;
  FrameReader reader;
  FrameWriter writer;

  // What has come, or nothing yet.  OutOfRange at the end of the stream.
  absl::StatusOr<std::optional<ReceivedMessage>> Receive();

  // Appends a message, which `writer` sends.
  absl::Status Add(const v1::ChildMessage& message, std::vector<UniqueFd> fds);
};

// Errors in messages; `step`: of a table, or empty.
v1::Error ToError(const absl::Status& status, const std::string& step);
absl::Status ToStatus(const v1::Error& error);

}  // namespace caisson::keeper
