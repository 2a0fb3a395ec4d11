#include "tests/bench/peer.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/base/status.h"

namespace caisson::bench {
namespace {

constexpr char kLabel[] = "caisson-bench.run";
constexpr absl::Duration kTimeout = absl::Minutes(10);

}  // namespace

double SecondsNow() {
  constexpr double kNanosPerSecond = 1e9;
  return static_cast<double>(MonotonicNanos()) / kNanosPerSecond;
}

Peer::Peer(const Endpoint& endpoint, const Options& options,
           const ctl::Interrupt& interrupt)
    : endpoint_(endpoint),
      name_(endpoint.name),
      image_(options.image),
      interrupt_(interrupt),
      client_(endpoint.address),
      run_id_(GenerateId()) {}

Peer::~Peer() {
  if (log_directory_.empty()) {
    return;  // never prepared
  }
  for (const absl::Status& status : {RemovePods(), RemoveLogs()}) {
    if (!status.ok()) {
      LogError(absl::StrCat("clean up after ", name_, ": ", status.message()));
    }
  }
}

template <typename Api, typename Request, typename Response>
absl::StatusOr<Response> Peer::Timed(
    const char* what,
    grpc::Status (Api::*method)(grpc::ClientContext*, const Request&,
                                Response*),
    const Request& request, double* seconds) {
  const double start = SecondsNow();
  absl::StatusOr<Response> response = client_.Call(method, request, kTimeout);
  if (seconds != nullptr) {
    *seconds = SecondsNow() - start;
  }
  if (!response.ok()) {
    return Annotate(response.status(), what);
  }
  return response;
}

absl::Status Peer::Prepare() {
  // Where TMPDIR says, for logs are written to a disk that is measured too.
  const char* base = ::getenv("TMPDIR");
  std::string path =
      absl::StrCat(base != nullptr ? base : "/tmp", "/caisson-bench-XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    return ErrnoError("create directory", path);
  }
  log_directory_ = path;
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(image_);
  ASSIGN_OR_RETURN(
      const cri::ImageStatusResponse answer,
      Timed("image status", &ImageApi::ImageStatus, request, nullptr));
  return answer.has_image() ? absl::OkStatus() : PullImage(image_);
}

absl::StatusOr<Pod> Peer::RunPod(bool host_network, double* seconds) {
  RETURN_IF_ERROR(interrupt_.Check());
  const std::string name = absl::StrCat("bench-", ++next_);
  cri::RunPodSandboxRequest request;
  request.set_runtime_handler(endpoint_.handler);
  cri::PodSandboxConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("caisson-bench");
  config.mutable_metadata()->set_uid(GenerateId());
  config.set_log_directory(log_directory_);
  (*config.mutable_labels())[kLabel] = run_id_;
  cri::NamespaceOption& spaces = *config.mutable_linux()
                                      ->mutable_security_context()
                                      ->mutable_namespace_options();
  spaces.set_network(host_network ? cri::NODE : cri::POD);
  spaces.set_pid(cri::CONTAINER);
  if (!host_network) {
    config.set_hostname(name);
  }
  ASSIGN_OR_RETURN(
      const cri::RunPodSandboxResponse answer,
      Timed("run pod", &RuntimeApi::RunPodSandbox, request, seconds));
  return Pod{answer.pod_sandbox_id(), config};
}

absl::Status Peer::StopPod(const std::string& id, double* seconds) {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Timed("stop pod", &RuntimeApi::StopPodSandbox, request, seconds)
      .status();
}

absl::Status Peer::RemovePod(const std::string& id, double* seconds) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Timed("remove pod", &RuntimeApi::RemovePodSandbox, request, seconds)
      .status();
}

absl::StatusOr<std::string> Peer::CreateContainer(
    const Pod& pod, const std::vector<std::string>& command, double* seconds) {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod.id);
  *request.mutable_sandbox_config() = pod.config;
  cri::ContainerConfig& config = *request.mutable_config();
  config.mutable_metadata()->set_name("main");
  config.mutable_image()->set_image(image_);
  for (const std::string& word : command) {
    config.add_command(word);
  }
  // Pods of a run share the log directory.
  config.set_log_path(absl::StrCat(pod.config.metadata().name(), ".log"));
  cri::LinuxContainerSecurityContext& security =
      *config.mutable_linux()->mutable_security_context();
  *security.mutable_namespace_options() =
      pod.config.linux().security_context().namespace_options();
  security.mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  ASSIGN_OR_RETURN(const cri::CreateContainerResponse answer,
                   Timed("create container", &RuntimeApi::CreateContainer,
                         request, seconds));
  return answer.container_id();
}

absl::Status Peer::StartContainer(const std::string& id, double* seconds) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  return Timed("start container", &RuntimeApi::StartContainer, request, seconds)
      .status();
}

absl::Status Peer::KillContainer(const std::string& id, double* seconds) {
  cri::StopContainerRequest request;
  request.set_container_id(id);
  return Timed("stop container", &RuntimeApi::StopContainer, request, seconds)
      .status();
}

absl::Status Peer::RemoveContainer(const std::string& id, double* seconds) {
  cri::RemoveContainerRequest request;
  request.set_container_id(id);
  return Timed("remove container", &RuntimeApi::RemoveContainer, request,
               seconds)
      .status();
}

absl::Status Peer::ExecTrue(const std::string& id, double* seconds) {
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("true");
  ASSIGN_OR_RETURN(const cri::ExecSyncResponse answer,
                   Timed("exec", &RuntimeApi::ExecSync, request, seconds));
  return answer.exit_code() == 0 ? absl::OkStatus()
                                 : absl::InternalError(absl::StrCat(
                                       "exec: exit code ", answer.exit_code()));
}

absl::StatusOr<cri::ContainerStatus> Peer::Status(const std::string& id) {
  RETURN_IF_ERROR(interrupt_.Check());
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  ASSIGN_OR_RETURN(const cri::ContainerStatusResponse answer,
                   Timed("container status", &RuntimeApi::ContainerStatus,
                         request, nullptr));
  return answer.status();
}

absl::Status Peer::RemoveImage(const std::string& image) {
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  return Timed("remove image", &ImageApi::RemoveImage, request, nullptr)
      .status();
}

absl::Status Peer::PullImage(const std::string& image, double* seconds) {
  RETURN_IF_ERROR(interrupt_.Check());
  cri::PullImageRequest request;
  request.mutable_image()->set_image(image);
  return Timed("pull image", &ImageApi::PullImage, request, seconds).status();
}

absl::Status Peer::RemovePods() {
  cri::ListPodSandboxRequest request;
  (*request.mutable_filter()->mutable_label_selector())[kLabel] = run_id_;
  ASSIGN_OR_RETURN(
      const cri::ListPodSandboxResponse answer,
      Timed("list pods", &RuntimeApi::ListPodSandbox, request, nullptr));
  absl::Status result;
  for (const cri::PodSandbox& pod : answer.items()) {
    result.Update(StopPod(pod.id()));
    result.Update(RemovePod(pod.id()));
  }
  return result;
}

absl::Status Peer::RemoveLogs() {
  DIR* directory = ::opendir(log_directory_.c_str());
  if (directory == nullptr) {
    return ErrnoError("open", log_directory_);
  }
  for (dirent* entry = ::readdir(directory); entry != nullptr;
       entry = ::readdir(directory)) {
    ::unlinkat(::dirfd(directory), entry->d_name, 0);
  }
  ::closedir(directory);
  return ::rmdir(log_directory_.c_str()) == 0
             ? absl::OkStatus()
             : ErrnoError("remove", log_directory_);
}

}  // namespace caisson::bench
