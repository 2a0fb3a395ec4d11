#include "runtime/keeper/child_message.h"

#include <string>
#include <utility>

#include "runtime/base/frame.h"
#include "runtime/base/status.h"

namespace caisson::keeper {

absl::Status SendMessage(int channel, const v1::ChildMessage& message,
                         absl::Span<const int> fds) {
  return SendFrame(channel, message.SerializeAsString(), fds);
}

absl::StatusOr<ReceivedMessage> ReceiveMessage(int channel) {
  ASSIGN_OR_RETURN(Frame frame, ReceiveFrame(channel));
  ReceivedMessage received;
  if (!received.message.ParseFromString(frame.bytes)) {
    return absl::InternalError("read message of child: malformed");
  }
  received.fds = std::move(frame.fds);
  return received;
}

}  // namespace caisson::keeper
