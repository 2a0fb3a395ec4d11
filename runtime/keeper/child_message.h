#pragma once

#include <string>
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

// Errors in messages; `step`: of a table, or empty.
v1::Error ToError(const absl::Status& status, const std::string& step);
absl::Status ToStatus(const v1::Error& error);

}  // namespace caisson::keeper
