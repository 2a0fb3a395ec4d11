#include "shim/cri/answer.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "shim/core/client_error.h"

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
  const absl::Status answered = core::AsAnswered(status);
  // The numbers of absl::StatusCode are those of gRPC.
  return grpc::Status(static_cast<grpc::StatusCode>(answered.code()),
                      std::string(answered.message().substr(0, kMaxMessage)));
}

grpc::Status ToGrpc(const char* rpc, const absl::Status& status) {
  if (!status.ok()) {
    LogWarning(absl::StrCat(rpc, ": ", absl::StatusCodeToString(status.code()),
                            ": ", status.message()));
  }
  return ToGrpc(status);
}

}  // namespace caisson::cri
