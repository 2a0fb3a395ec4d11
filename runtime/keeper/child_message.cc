#include "runtime/keeper/child_message.h"

#include <string>
#include <utility>

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

absl::StatusOr<std::optional<ReceivedMessage>> ChildChannel::Receive() {
  ASSIGN_OR_RETURN(std::optional<Frame> frame, reader.Read(fd.get()));
  if (!frame.has_value()) {
    return std::optional<ReceivedMessage>();
  }
  ReceivedMessage received;
  if (!received.message.ParseFromString(frame->bytes)) {
    return absl::InternalError("read message of child: malformed");
  }
  received.fds = std::move(frame->fds);
  return std::optional<ReceivedMessage>(std::move(received));
}

absl::Status ChildChannel::Add(const v1::ChildMessage& message,
                               std::vector<UniqueFd> fds) {
  return writer.Add(message.SerializeAsString(), std::move(fds)).status();
}

v1::Error ToError(const absl::Status& status, const std::string& step) {
  v1::Error error;
  error.set_code(static_cast<int>(status.code()));
  error.set_message(std::string(status.message()));
  error.set_step(step);
  return error;
}

absl::Status ToStatus(const v1::Error& error) {
  return absl::Status(static_cast<absl::StatusCode>(error.code()),
                      error.message());
}

}  // namespace caisson::keeper
