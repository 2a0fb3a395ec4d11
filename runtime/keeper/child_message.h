#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/keeper/v1/keeper.pb.h"
#include "runtime/base/unique_fd.h"

namespace caisson::keeper {

struct ReceivedMessage {
  v1::ChildMessage message;
  std::vector<UniqueFd> fds;
};

// One message between a child and its keeper, over a stream socket.
absl::Status SendMessage(int channel, const v1::ChildMessage& message,
                         absl::Span<const int> fds);

// OutOfRange at the end of the stream.
absl::StatusOr<ReceivedMessage> ReceiveMessage(int channel);

}  // namespace caisson::keeper
