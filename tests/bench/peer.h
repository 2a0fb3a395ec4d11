#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shim/ctl/client.h"
#include "shim/ctl/interrupt.h"
#include "tests/bench/options.h"
#include "tests/bench/samples.h"

namespace caisson::bench {

namespace cri = ::runtime::v1;
using ctl::ImageApi;
using ctl::RuntimeApi;

double SecondsNow();

struct Pod {
  std::string id;
  cri::PodSandboxConfig config;
};

// One runtime under measurement.  Every pod carries a label of this run, so
// that RemovePods() finds them all, whatever failed.  Calls may come from
// several threads; each is timed into `seconds` where that isn't null.
class Peer {
 public:
  Peer(const Endpoint& endpoint, const Options& options,
       const ctl::Interrupt& interrupt);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  // Removes what is left.
  ~Peer();

  // Pulls the image unless it is there, makes the log directory.
  absl::Status Prepare();

  absl::StatusOr<Pod> RunPod(bool host_network, double* seconds = nullptr);
  absl::Status StopPod(const std::string& id, double* seconds = nullptr);
  absl::Status RemovePod(const std::string& id, double* seconds = nullptr);

  absl::StatusOr<std::string> CreateContainer(
      const Pod& pod, const std::vector<std::string>& command,
      double* seconds = nullptr);
  absl::Status StartContainer(const std::string& id, double* seconds = nullptr);
  // StopContainer without a grace period.
  absl::Status KillContainer(const std::string& id, double* seconds = nullptr);
  absl::Status RemoveContainer(const std::string& id,
                               double* seconds = nullptr);
  // Runs `true`; another exit code than 0 is an error.
  absl::Status ExecTrue(const std::string& id, double* seconds = nullptr);
  absl::StatusOr<cri::ContainerStatus> Status(const std::string& id);
  absl::Status RemoveImage(const std::string& image);
  absl::Status PullImage(const std::string& image, double* seconds = nullptr);

  // Removes all pods of this run.
  absl::Status RemovePods();

  const std::string& name() const { return name_; }

  const Endpoint& endpoint() const { return endpoint_; }

  const std::string& log_directory() const { return log_directory_; }

  Results results;
  std::vector<std::string> errors;

 private:
  // Calls, times and names the call in the error.
  template <typename Api, typename Request, typename Response>
  absl::StatusOr<Response> Timed(
      const char* what,
      grpc::Status (Api::*method)(grpc::ClientContext*, const Request&,
                                  Response*),
      const Request& request, double* seconds);

  absl::Status RemoveLogs();

  Endpoint endpoint_;
  std::string name_;
  std::string image_;
  const ctl::Interrupt& interrupt_;
  ctl::Client client_;
  std::string run_id_;
  std::string log_directory_;
  std::atomic<int> next_ = 0;
};

}  // namespace caisson::bench
