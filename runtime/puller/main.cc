// caisson-puller: fetches one image and ends.  Started by caissond with the
// socket of their conversation as fd 3.

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <string>

#include "api/puller/v1/puller.pb.h"
#include "runtime/base/frame.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "runtime/puller/pull.h"
#include "runtime/puller/sandbox.h"

namespace {

constexpr int kSocket = 3;

absl::Status Run() {
  ASSIGN_OR_RETURN(caisson::Frame frame, caisson::ReceiveFrame(kSocket));
  caisson::puller::v1::PullRequest request;
  if (!request.ParseFromString(frame.bytes)) {
    return absl::InvalidArgumentError("read request: malformed");
  }
  // What these read of the host's files they read now.
  curl_global_init(CURL_GLOBAL_ALL);
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  RETURN_IF_ERROR(caisson::puller::EnterSandbox(request.uid(), request.gid()));
  return caisson::puller::Pull(request, kSocket);
}

}  // namespace

int main() {
  caisson::SetUpLog("caisson-puller", caisson::LogLevel::kInfo);
  signal(SIGPIPE, SIG_IGN);
  // Names in layers are bytes; libarchive passes them through in a locale
  // whose encoding has room for all.
  setlocale(LC_CTYPE, "C.UTF-8");
  const absl::Status status = Run();
  if (status.ok()) {
    return 0;
  }
  caisson::puller::v1::FromPuller message;
  message.mutable_error()->set_code(static_cast<int>(status.code()));
  message.mutable_error()->set_message(std::string(status.message()));
  return caisson::SendFrame(kSocket, message.SerializeAsString(), {}).ok() ? 0
                                                                           : 1;
}
