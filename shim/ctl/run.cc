#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/directory.h"
#include "runtime/base/id.h"
#include "runtime/base/rollback.h"
#include "runtime/base/status.h"
#include "shim/ctl/client.h"
#include "shim/ctl/commands.h"
#include "shim/ctl/interrupt.h"
#include "shim/ctl/log_follower.h"
#include "shim/ctl/run_request.h"

namespace caisson::ctl {
namespace {

constexpr absl::Duration kPullTimeout = absl::Minutes(30);

absl::StatusOr<std::string> MakeLogDirectory() {
  std::string path = "/tmp/caissonctl-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return ErrnoError("create directory", path);
  }
  return path;
}

// The daemon puts files into it, no directories.
absl::Status RemoveLogDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                   ListDirectory(path));
  for (const DirectoryEntry& entry : entries) {
    ::unlink(absl::StrCat(path, "/", entry.name).c_str());
  }
  return ::rmdir(path.c_str()) == 0 ? absl::OkStatus()
                                    : ErrnoError("remove", path);
}

// The reference to create the container from.
absl::StatusOr<std::string> EnsureImage(Client& client,
                                        const RunOptions& options) {
  cri::ImageSpec spec;
  spec.set_image(options.image);
  spec.set_runtime_handler(options.handler);
  if (!options.pull_always) {
    cri::ImageStatusRequest request;
    *request.mutable_image() = spec;
    ASSIGN_OR_RETURN(const cri::ImageStatusResponse answer,
                     client.Call(&ImageApi::ImageStatus, request));
    if (answer.has_image()) {
      return answer.image().id();
    }
  }
  cri::PullImageRequest request;
  *request.mutable_image() = spec;
  ASSIGN_OR_RETURN(const cri::PullImageResponse answer,
                   client.Call(&ImageApi::PullImage, request, kPullTimeout));
  return answer.image_ref();
}

absl::Status RemovePod(Client& client, const std::string& pod) {
  // RemovePodSandbox kills and removes the containers, yet a stop first shows
  // a failing network plugin as such.
  cri::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(pod);
  const absl::Status stopped =
      client.Call(&RuntimeApi::StopPodSandbox, stop).status();
  cri::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(pod);
  const absl::Status removed =
      client.Call(&RuntimeApi::RemovePodSandbox, remove).status();
  return stopped.ok() ? removed : stopped;
}

// Finds the pod by its label: after an interrupted call its id isn't known.
absl::Status RemovePodsOfRun(Client& client, const std::string& run) {
  cri::ListPodSandboxRequest request;
  (*request.mutable_filter()->mutable_label_selector())[kRunLabel] = run;
  ASSIGN_OR_RETURN(const cri::ListPodSandboxResponse answer,
                   client.Call(&RuntimeApi::ListPodSandbox, request));
  absl::Status result;
  for (const cri::PodSandbox& pod : answer.items()) {
    result.Update(RemovePod(client, pod.id()));
  }
  return result;
}

absl::StatusOr<cri::ContainerStatus> GetStatus(Client& client,
                                               const std::string& container) {
  cri::ContainerStatusRequest request;
  request.set_container_id(container);
  ASSIGN_OR_RETURN(const cri::ContainerStatusResponse answer,
                   client.Call(&RuntimeApi::ContainerStatus, request));
  return answer.status();
}

// Copies the log until the container has ended; its exit code.
absl::StatusOr<int> Follow(Client& client, const std::string& container,
                           const Interrupt& interrupt, LogFollower& log) {
  constexpr absl::Duration kLongestPause = absl::Milliseconds(50);
  absl::Duration pause = absl::Milliseconds(1);
  while (true) {
    RETURN_IF_ERROR(interrupt.Check());
    ASSIGN_OR_RETURN(const cri::ContainerStatus status,
                     GetStatus(client, container));
    // After the status, so that the last lines are in the file.
    RETURN_IF_ERROR(log.Drain());
    if (status.state() == cri::CONTAINER_EXITED) {
      return status.exit_code();
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

absl::StatusOr<std::string> StartPod(Client& client, const RunOptions& options,
                                     const cri::PodSandboxConfig& pod) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = pod;
  request.set_runtime_handler(options.handler);
  ASSIGN_OR_RETURN(const cri::RunPodSandboxResponse answer,
                   client.Call(&RuntimeApi::RunPodSandbox, request));
  return answer.pod_sandbox_id();
}

absl::StatusOr<std::string> StartContainer(Client& client,
                                           cri::CreateContainerRequest create) {
  ASSIGN_OR_RETURN(const cri::CreateContainerResponse created,
                   client.Call(&RuntimeApi::CreateContainer, create));
  cri::StartContainerRequest start;
  start.set_container_id(created.container_id());
  RETURN_IF_ERROR(client.Call(&RuntimeApi::StartContainer, start).status());
  return created.container_id();
}

}  // namespace

absl::StatusOr<int> Run(const std::string& endpoint,
                        const RunOptions& options) {
  Interrupt interrupt;
  Client client(endpoint);
  interrupt.Watch([&client] { client.CancelCalls(); });
  ASSIGN_OR_RETURN(const std::string image, EnsureImage(client, options));
  RETURN_IF_ERROR(interrupt.Check());

  // Never committed: a run leaves nothing, however it ends.
  Rollback cleanup;
  ASSIGN_OR_RETURN(const std::string logs, MakeLogDirectory());
  cleanup.Add("remove logs", [logs] { return RemoveLogDirectory(logs); });
  const std::string run = GenerateId();
  const cri::PodSandboxConfig pod = PodConfig(options, run, logs);
  cri::CreateContainerRequest create;
  ASSIGN_OR_RETURN(*create.mutable_config(), ContainerConfigOf(options, image));
  *create.mutable_sandbox_config() = pod;
  cleanup.Add("remove pod",
              [&client, run] { return RemovePodsOfRun(client, run); });
  ASSIGN_OR_RETURN(const std::string pod_id, StartPod(client, options, pod));
  create.set_pod_sandbox_id(pod_id);
  RETURN_IF_ERROR(interrupt.Check());
  ASSIGN_OR_RETURN(const std::string container,
                   StartContainer(client, std::move(create)));
  LogFollower log(absl::StrCat(logs, "/main.log"), STDOUT_FILENO,
                  STDERR_FILENO);
  return Follow(client, container, interrupt, log);
}

}  // namespace caisson::ctl
