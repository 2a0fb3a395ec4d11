#include "tests/cri/chaos/chaos_client.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace caisson::cri_test {
namespace {

// What comes to nothing in this time hangs.
constexpr absl::Duration kCallTime = absl::Seconds(60);
constexpr absl::Duration kRepeatTime = absl::Seconds(90);
constexpr size_t kMostPods = 4;
constexpr size_t kMostContainers = 3;
// SIGKILL's, of a program that does not heed SIGTERM.
constexpr int kKilled = 137;

bool IsLost(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::CANCELLED;
}

std::string TextOf(const grpc::Status& status) {
  return absl::StrCat("code ", static_cast<int>(status.error_code()), ": ",
                      status.error_message());
}

}  // namespace

ChaosClient::ChaosClient(const Options& options)
    : options_(options),
      client_(options.socket_path),
      random_(options.seed + static_cast<uint64_t>(options.number) * 7919) {}

void ChaosClient::Complain(const std::string& what, const std::string& why) {
  complaints_.push_back(
      absl::StrCat("client ", options_.number, ": ", what, ": ", why));
  printf(
      "%s %s\n",
      absl::FormatTime("%H:%M:%E3S", absl::Now(), absl::UTCTimeZone()).c_str(),
      complaints_.back().c_str());
  fflush(stdout);
}

grpc::Status ChaosClient::Repeat(const std::string& what,
                                 const std::function<grpc::Status()>& call,
                                 bool* lost) {
  const absl::Time end = absl::Now() + kRepeatTime;
  for (;;) {
    grpc::Status status = call();
    if (!IsLost(status)) {
      ++answers_;
      return status;
    }
    ++losses_;
    *lost = true;
    if (absl::Now() > end) {
      Complain(what, "never answered: " + TextOf(status));
      return status;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
}

bool ChaosClient::Must(const std::string& what,
                       const std::function<grpc::Status()>& call) {
  bool lost = false;
  const grpc::Status status = Repeat(what, call, &lost);
  if (!status.ok() && !IsLost(status)) {
    Complain(what, TextOf(status));
  }
  return status.ok();
}

std::string ChaosClient::FindReady(const cri::RunPodSandboxRequest& request) {
  std::vector<cri::PodSandbox> pods;
  Must("list pods", [&] { return client_.Pods(&pods, kCallTime); });
  for (const cri::PodSandbox& pod : pods) {
    if (pod.metadata().name() == request.config().metadata().name() &&
        pod.state() == cri::SANDBOX_READY) {
      return pod.id();
    }
  }
  return "";
}

std::string ChaosClient::FindContainer(const std::string& pod,
                                       const std::string& name) {
  std::vector<cri::Container> containers;
  Must("list containers",
       [&] { return client_.Containers(&containers, kCallTime); });
  for (const cri::Container& container : containers) {
    if (container.pod_sandbox_id() == pod &&
        container.metadata().name() == name) {
      return container.id();
    }
  }
  return "";
}

void ChaosClient::RunPod() {
  Pod pod;
  const std::string name =
      absl::StrCat("chaos-", options_.number, "-", ++last_);
  pod.request = PodRequest(options_.directory, name, Random(2) == 0);
  const std::string what = "run pod " + name;
  const absl::Time end = absl::Now() + kRepeatTime;
  std::string made;  // by a call whose answer was lost
  for (;;) {
    const grpc::Status status = client_.RunPod(pod.request, &pod.id, kCallTime);
    if (status.ok()) {
      ++answers_;
      break;
    }
    // The half-made one of before is still being taken away.
    const bool again = IsLost(status) ||
                       status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
    if (!again || absl::Now() > end) {
      Complain(what, TextOf(status));
      return;
    }
    ++losses_;
    made = FindReady(pod.request);
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (!made.empty() && made != pod.id) {
    Complain(what, absl::StrCat("repeated: ", pod.id, ", it was ", made));
  }
  pods_.push_back(std::move(pod));
}

void ChaosClient::CreateContainer(Pod& pod) {
  Container container;
  container.name = absl::StrCat("c", ++last_);
  std::vector<std::string> command = {"sleep", "1000"};
  if (Random(3) == 0) {
    container.exit_code = 3 + Random(100);
    command = {
        "sh", "-c",
        absl::StrCat("sleep 0.", Random(10), "; exit ", container.exit_code)};
  }
  const cri::CreateContainerRequest request =
      ContainerRequest(pod.id, pod.request, container.name, command);
  const std::string what =
      absl::StrCat("create container ", container.name, " in pod ", pod.id);
  const absl::Time end = absl::Now() + kRepeatTime;
  std::string made;
  for (;;) {
    const grpc::Status status =
        client_.CreateContainer(request, &container.id, kCallTime);
    if (status.ok()) {
      ++answers_;
      break;
    }
    const bool again = IsLost(status) ||
                       status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
    if (!again || absl::Now() > end) {
      Complain(what, TextOf(status));
      return;
    }
    ++losses_;
    made = FindContainer(pod.id, container.name);
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (!made.empty() && made != container.id) {
    Complain(what, absl::StrCat("repeated: ", container.id, ", it was ", made));
  }
  pod.containers.push_back(std::move(container));
}

void ChaosClient::StartContainer(Container& container) {
  const std::string what = "start container " + container.id;
  bool lost = false;
  const grpc::Status status = Repeat(
      what, [&] { return client_.StartContainer(container.id, kCallTime); },
      &lost);
  // "It is running, not created": by the call whose answer was lost.
  const bool was_started =
      lost && status.error_code() == grpc::StatusCode::FAILED_PRECONDITION;
  if (status.ok() || was_started) {
    container.started = true;
  } else {
    Complain(what, TextOf(status));
  }
}

void ChaosClient::Exec(const Container& container) {
  cri::ExecSyncResponse response;
  const std::string what = "exec in container " + container.id;
  const bool ok = Must(what, [&] {
    return client_.Exec(container.id, {"echo", "well"}, 30, &response,
                        kCallTime);
  });
  if (ok && (response.exit_code() != 0 || response.stdout() != "well\n")) {
    Complain(what, absl::StrCat("exit code ", response.exit_code(), ", ",
                                response.stdout(), response.stderr()));
  }
}

void ChaosClient::StopContainer(Container& container) {
  container.stopped = true;
  const int64_t grace = Random(2);
  Must("stop container " + container.id,
       [&] { return client_.StopContainer(container.id, grace, kCallTime); });
}

void ChaosClient::RemoveContainer(Pod& pod, size_t index) {
  const std::string id = pod.containers[index].id;
  if (Must("remove container " + id,
           [&] { return client_.RemoveContainer(id, kCallTime); })) {
    removed_.insert(id);
  }
  pod.containers.erase(pod.containers.begin() +
                       static_cast<std::ptrdiff_t>(index));
}

void ChaosClient::RemovePod(size_t index) {
  Pod& pod = pods_[index];
  // Half of them as the kubelet does.
  if (Random(2) == 0) {
    if (!Must("stop pod " + pod.id,
              [&] { return client_.StopPod(pod.id, kCallTime); })) {
      return;
    }
    pod.stopped = true;
    CheckLists();
  }
  if (Must("remove pod " + pod.id,
           [&] { return client_.RemovePod(pod.id, kCallTime); })) {
    removed_.insert(pod.id);
    for (const Container& container : pod.containers) {
      removed_.insert(container.id);
    }
    pods_.erase(pods_.begin() + static_cast<std::ptrdiff_t>(index));
  }
}

void ChaosClient::DoSomething(Pod& pod, size_t index) {
  if (pod.stopped) {
    RemovePod(index);
    return;
  }
  if (pod.containers.empty() ||
      (Random(3) == 0 && pod.containers.size() < kMostContainers)) {
    CreateContainer(pod);
    return;
  }
  const auto at =
      static_cast<size_t>(Random(static_cast<int>(pod.containers.size())));
  Container& container = pod.containers[at];
  const bool runs =
      container.started && !container.stopped && container.exit_code < 0;
  if (!container.started && !container.stopped) {
    StartContainer(container);
  } else if (runs && Random(4) != 0) {
    Exec(container);
  } else if (runs) {
    StopContainer(container);
  } else if (Random(3) != 0) {
    CheckContainer(pod, container);
  } else {
    RemoveContainer(pod, at);
  }
}

void ChaosClient::Live(const std::atomic<bool>& over) {
  while (!over) {
    const int choice = Random(20);
    if (pods_.empty() || (choice < 3 && pods_.size() < kMostPods)) {
      RunPod();
    } else if (choice == 3) {
      RemovePod(static_cast<size_t>(Random(static_cast<int>(pods_.size()))));
    } else if (choice == 4) {
      CheckLists();
    } else if (choice == 5) {
      Must("pull",
           [&] { return client_.Pull("docker.io/library/busybox:latest"); });
    } else {
      const auto at =
          static_cast<size_t>(Random(static_cast<int>(pods_.size())));
      DoSomething(pods_[at], at);
    }
  }
}

void ChaosClient::CheckLists() {
  std::vector<cri::PodSandbox> pods;
  std::vector<cri::Container> containers;
  if (Must("list pods", [&] { return client_.Pods(&pods, kCallTime); }) &&
      Must("list containers",
           [&] { return client_.Containers(&containers, kCallTime); })) {
    Check(pods, containers);
  }
}

void ChaosClient::Check(const std::vector<cri::PodSandbox>& pods,
                        const std::vector<cri::Container>& containers) {
  for (const cri::PodSandbox& pod : pods) {
    if (removed_.contains(pod.id())) {
      Complain("pod " + pod.id(), "is listed, but was removed");
    }
  }
  for (const cri::Container& container : containers) {
    if (removed_.contains(container.id())) {
      Complain("container " + container.id(), "is listed, but was removed");
    }
  }
  for (const Pod& pod : pods_) {
    CheckPod(pod, pods, containers);
  }
}

void ChaosClient::CheckPod(const Pod& pod,
                           const std::vector<cri::PodSandbox>& pods,
                           const std::vector<cri::Container>& containers) {
  const auto listed =
      std::find_if(pods.begin(), pods.end(),
                   [&](const auto& it) { return it.id() == pod.id; });
  if (listed == pods.end()) {
    Complain("pod " + pod.id, "is not listed");
    return;
  }
  if ((listed->state() == cri::SANDBOX_READY) == pod.stopped) {
    Complain("pod " + pod.id, pod.stopped ? "is ready, but was stopped"
                                          : "is not ready any more");
  }
  for (const Container& container : pod.containers) {
    const auto found =
        std::find_if(containers.begin(), containers.end(),
                     [&](const auto& it) { return it.id() == container.id; });
    if (found == containers.end()) {
      Complain("container " + container.id, "is not listed");
      continue;
    }
    const cri::ContainerState state = found->state();
    const bool may_have_ended = pod.stopped || container.stopped ||
                                (container.started && container.exit_code >= 0);
    const bool right =
        pod.stopped || container.stopped ? state == cri::CONTAINER_EXITED
        : may_have_ended
            ? state == cri::CONTAINER_EXITED || state == cri::CONTAINER_RUNNING
        : container.started ? state == cri::CONTAINER_RUNNING
                            : state == cri::CONTAINER_CREATED;
    if (!right) {
      Complain("container " + container.id,
               absl::StrCat("is listed as ", cri::ContainerState_Name(state),
                            container.started ? ", started" : "",
                            container.stopped ? ", stopped" : ""));
    }
  }
}

void ChaosClient::CheckContainer(const Pod& pod, const Container& container) {
  const std::string what = "container " + container.id;
  const absl::Time end = absl::Now() + absl::Seconds(20);
  cri::ContainerStatusResponse response;
  do {
    if (!Must("status of " + what, [&] {
          return client_.ContainerStatus(container.id, &response);
        })) {
      return;
    }
    if (response.status().state() == cri::CONTAINER_EXITED) {
      break;
    }
    absl::SleepFor(absl::Milliseconds(20));
  } while (absl::Now() < end);
  if (response.status().state() != cri::CONTAINER_EXITED) {
    Complain(what, "does not end");
    return;
  }
  const int code = response.status().exit_code();
  const bool was_killed = pod.stopped || container.stopped;
  const bool right =
      !container.started ? true
      : container.exit_code < 0
          ? code == kKilled
          : code == container.exit_code || (was_killed && code == kKilled);
  if (!right) {
    Complain(what,
             absl::StrCat("ended with ", code, ", not ", container.exit_code,
                          "; ", response.status().reason()));
  }
}

void ChaosClient::RemoveAll() {
  for (const Pod& pod : pods_) {
    for (const Container& container : pod.containers) {
      if (container.started && container.exit_code >= 0) {
        CheckContainer(pod, container);
      }
    }
  }
  while (!pods_.empty()) {
    const size_t before = pods_.size();
    RemovePod(before - 1);
    if (pods_.size() == before && !pods_.back().stopped) {
      return;
    }
  }
}

}  // namespace caisson::cri_test
