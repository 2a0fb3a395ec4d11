#include "shim/core/client_error.h"

#include "absl/strings/cord.h"

namespace caisson::core {
namespace {

constexpr char kMark[] = "caisson/for-client";

}  // namespace

absl::Status ForClient(absl::Status status) {
  if (!status.ok()) {
    status.SetPayload(kMark, absl::Cord());
  }
  return status;
}

absl::Status AsAnswered(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return status.GetPayload(kMark).has_value()
                 ? status
                 : absl::InternalError(status.message());
    default:
      return status;
  }
}

}  // namespace caisson::core
