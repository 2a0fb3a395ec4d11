#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "shim/ctl/client.h"
#include "shim/ctl/commands.h"
#include "shim/ctl/table.h"

namespace caisson::ctl {
namespace {

using Info = google::protobuf::Map<std::string, std::string>;

constexpr size_t kShortId = 13;

// Facts of the verbose status; "-" for what it doesn't tell.
struct Facts {
  std::string pid = "-";
  std::string first_id = "-";
};

// The host id that is root inside.
absl::StatusOr<std::string> FirstId(const json::Value& info) {
  const json::Value* map = json::Find(info, "uidMap");
  if (map == nullptr || !map->is_array()) {
    return std::string("-");
  }
  for (const json::Value& extent : *map) {
    ASSIGN_OR_RETURN(const int64_t inside, json::GetInt(extent, "containerId"));
    if (inside == 0) {
      ASSIGN_OR_RETURN(const int64_t outside, json::GetInt(extent, "hostId"));
      return absl::StrCat(outside);
    }
  }
  return std::string("-");
}

absl::StatusOr<Facts> ReadFacts(const Info& info) {
  Facts facts;
  const auto found = info.find("info");
  if (found == info.end()) {
    return facts;
  }
  ASSIGN_OR_RETURN(const json::Value value,
                   json::Parse(found->second, "verbose status"));
  ASSIGN_OR_RETURN(const int64_t pid, json::GetInt(value, "pid"));
  if (pid != 0) {
    facts.pid = absl::StrCat(pid);
  }
  ASSIGN_OR_RETURN(facts.first_id, FirstId(value));
  return facts;
}

// A pod or container that went away since the list was made has no facts.
template <typename Response>
absl::StatusOr<Facts> FactsOf(const absl::StatusOr<Response>& answer) {
  if (absl::IsNotFound(answer.status())) {
    return Facts();
  }
  RETURN_IF_ERROR(answer.status());
  return ReadFacts(answer->info());
}

absl::StatusOr<Facts> PodFacts(Client& client, const std::string& id) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  request.set_verbose(true);
  return FactsOf(client.Call(&RuntimeApi::PodSandboxStatus, request));
}

absl::StatusOr<Facts> ContainerFacts(Client& client, const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(true);
  return FactsOf(client.Call(&RuntimeApi::ContainerStatus, request));
}

std::string StateName(cri::ContainerState state) {
  const std::string name = cri::ContainerState_Name(state);
  constexpr absl::string_view kPrefix = "CONTAINER_";
  return name.size() > kPrefix.size() ? name.substr(kPrefix.size()) : name;
}

std::string ImageName(const cri::Container& container) {
  const cri::ImageSpec& image = container.image();
  if (!image.user_specified_image().empty()) {
    return image.user_specified_image();
  }
  constexpr size_t kShortDigest = 19;
  return absl::StartsWith(image.image(), "sha256:")
             ? image.image().substr(0, kShortDigest)
             : image.image();
}

std::vector<std::string> PodColumns(const cri::PodSandbox& pod) {
  return {pod.id().substr(0, kShortId), pod.metadata().name(),
          pod.metadata().namespace_(),
          pod.state() == cri::SANDBOX_READY ? "READY" : "NOTREADY",
          pod.runtime_handler().empty() ? "-" : pod.runtime_handler()};
}

}  // namespace

absl::StatusOr<int> Ps(const std::string& endpoint) {
  Client client(endpoint);
  ASSIGN_OR_RETURN(
      const cri::ListPodSandboxResponse pods,
      client.Call(&RuntimeApi::ListPodSandbox, cri::ListPodSandboxRequest()));
  ASSIGN_OR_RETURN(
      const cri::ListContainersResponse containers,
      client.Call(&RuntimeApi::ListContainers, cri::ListContainersRequest()));
  std::multimap<std::string, const cri::Container*> of_pod;
  for (const cri::Container& container : containers.containers()) {
    of_pod.emplace(container.pod_sandbox_id(), &container);
  }
  std::vector<std::vector<std::string>> rows = {
      {"POD", "NAME", "NAMESPACE", "STATE", "HANDLER", "CONTAINER", "STATE",
       "IMAGE", "PID", "FIRST ID"}};
  for (const cri::PodSandbox& pod : pods.items()) {
    ASSIGN_OR_RETURN(const Facts facts, PodFacts(client, pod.id()));
    const auto [first, last] = of_pod.equal_range(pod.id());
    std::vector<std::string> row = PodColumns(pod);
    if (first == last) {
      row.insert(row.end(), {"-", "-", "-", facts.pid, facts.first_id});
      rows.push_back(row);
    }
    for (auto it = first; it != last; ++it) {
      const cri::Container& container = *it->second;
      ASSIGN_OR_RETURN(const Facts own, ContainerFacts(client, container.id()));
      row = PodColumns(pod);
      row.insert(row.end(),
                 {container.metadata().name(), StateName(container.state()),
                  ImageName(container), own.pid,
                  own.first_id == "-" ? facts.first_id : own.first_id});
      rows.push_back(row);
    }
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  return 0;
}

}  // namespace caisson::ctl
