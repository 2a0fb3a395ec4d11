#include "shim/cri/status_mapping.h"

#include <string>

namespace caisson::cri {
namespace {

// A message travels in a header, whose size clients bound (gRPC: 8 KiB, with
// three bytes for one that is not printable): beyond it they would see
// RESOURCE_EXHAUSTED in the place of the error.
constexpr size_t kMaxMessage = 2048;

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  // The numbers of absl::StatusCode are those of gRPC.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message().substr(0, kMaxMessage)));
}

absl::Status FromWork(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return absl::InternalError(status.message());
    default:
      return status;
  }
}

}  // namespace caisson::cri
