#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/cri/v1/api.grpc.pb.h"

namespace caisson::ctl {

namespace cri = ::runtime::v1;
using RuntimeApi = cri::RuntimeService::StubInterface;
using ImageApi = cri::ImageService::StubInterface;

// A connection to a CRI socket, for one synchronous call a thread.
//
//   client.Call(&RuntimeApi::RunPodSandbox, request)
//
// gives StatusOr<RunPodSandboxResponse> with the server's code and message.
class Client {
 public:
  // `endpoint` is unix:///path or what else gRPC takes.  Connects lazily, and
  // over a socket of its own: clients share nothing.
  explicit Client(const std::string& endpoint);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (RuntimeApi::*method)(grpc::ClientContext*, const Request&,
                                         Response*),
      const Request& request, absl::Duration timeout = kTimeout) {
    return Run(*runtime_, method, request, timeout);
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (ImageApi::*method)(grpc::ClientContext*, const Request&,
                                       Response*),
      const Request& request, absl::Duration timeout = kTimeout) {
    return Run(*image_, method, request, timeout);
  }

  // Ends the calls now running with CANCELLED.  Any thread.
  void CancelCalls();

 private:
  static constexpr absl::Duration kTimeout = absl::Minutes(2);

  // While a call runs, CancelCalls() finds its context.
  class Running {
   public:
    Running(Client& client, grpc::ClientContext& context);
    ~Running();

   private:
    Client& client_;
    grpc::ClientContext& context_;
  };

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Run(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, absl::Duration timeout) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    const Running running(*this, context);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    return response;
  }

  std::unique_ptr<RuntimeApi> runtime_;
  std::unique_ptr<ImageApi> image_;
  std::mutex mutex_;
  std::set<grpc::ClientContext*> contexts_;
};

}  // namespace caisson::ctl
