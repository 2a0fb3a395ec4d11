#include "shim/daemon/daemon.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"
#include "shim/cri/image_service.h"
#include "shim/cri/runtime_service.h"
#include "shim/daemon/parts.h"
#include "shim/daemon/socket_place.h"
#include "shim/recover/recovery.h"

namespace caisson::daemon {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;
// What answers that are on their way may take after the end was asked for.
constexpr auto kDrainTime = std::chrono::milliseconds(300);
constexpr absl::Duration kEndTime = absl::Milliseconds(800);

sigset_t EndingSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  return ends;
}

// All of the daemon; members below use those above.
class WholeDaemon : public Daemon {
 public:
  WholeDaemon(std::unique_ptr<SocketPlace> place, Opened opened)
      : place_(std::move(place)), parts_(std::move(opened)) {}

  absl::Status Serve() override;

 private:
  absl::StatusOr<std::unique_ptr<grpc::Server>> StartServer();

  const std::unique_ptr<SocketPlace> place_;
  Parts parts_;
  cri::RuntimeService runtime_service_{parts_.ForRuntimeService()};
  cri::ImageService image_service_{*parts_.opened.images, parts_.operations,
                                   parts_.lanes};
};

absl::StatusOr<std::unique_ptr<grpc::Server>> WholeDaemon::StartServer() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix://" + place_->BindPath(),
                           grpc::InsecureServerCredentials());
  builder.RegisterService(&runtime_service_);
  builder.RegisterService(&image_service_);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // Nobody but us from the socket's first moment.
  const mode_t mask = umask(0177);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  umask(mask);
  if (server == nullptr) {
    return absl::InternalError(
        absl::StrCat("listen at ", place_->BindPath(), ": failed"));
  }
  RETURN_IF_ERROR(place_->Publish());
  return server;
}

absl::Status WholeDaemon::Serve() {
  const sigset_t ends = EndingSignals();
  recover::Recovery recovery(parts_.ForRecovery());
  RETURN_IF_ERROR(Annotate(recovery.Run(), "recover from records"));
  ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server, StartServer());
  LogInfo(absl::StrCat("serving the CRI at ", parts_.node.config.socket));
  int signal = 0;
  sigwait(&ends, &signal);
  LogInfo("stopping; pods go on running");
  for (const std::string& line : parts_.operations.Describe()) {
    LogInfo(absl::StrCat("left to the next daemon: ", line));
  }
  place_->Remove();
  parts_.timers.At(Deadline::After(kEndTime), [] {
    LogWarning("stop: an answer hangs: it is left");
    _exit(0);
  });
  parts_.operations.Close();
  server->Shutdown(std::chrono::system_clock::now() + kDrainTime);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Open(
    const config::Config& config, const std::string& program_directory) {
  // Before any thread: all inherit the mask.
  const sigset_t ends = EndingSignals();
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ASSIGN_OR_RETURN(std::unique_ptr<SocketPlace> place,
                   SocketPlace::Take(config.socket));
  ASSIGN_OR_RETURN(Opened opened, OpenParts(config, program_directory));
  return std::make_unique<WholeDaemon>(std::move(place), std::move(opened));
}

}  // namespace caisson::daemon
